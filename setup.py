"""Puts the tables of data/ into the package when a wheel is built; an editable install reads them where they are."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithData(build_py):
    def run(self):
        super().run()
        if not self.editable_mode:
            hidden = shutil.ignore_patterns(".*")
            shutil.copytree("data", Path(self.build_lib, "rholaw", "data"), ignore=hidden, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithData})
