"""`rholaw speeds`: what files of benchmarks say."""

import json

from rholaw import __main__ as command

TEST = {"model_type": "llama 8B Q8_0", "gpu_info": "NVIDIA L4", "n_prompt": 0, "n_gen": 128, "avg_ts": 14.5}


def test_a_file_is_shown_and_another_refused(tmp_path, capsys):
    (tmp_path / "a.json").write_text(json.dumps([TEST, TEST | {"n_prompt": 512, "n_gen": 0, "avg_ts": 900.0}]))
    assert command.main(["speeds", str(tmp_path / "a.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and "NVIDIA L4" in lines[1] and "decode" in lines[1] and "prefill" in lines[2]
    assert command.main(["speeds", str(tmp_path / "a.json"), "--json"]) == 0
    assert [row["weights"] for row in json.loads(capsys.readouterr().out)] == ["q8_0", "q8_0"]
    (tmp_path / "b.json").write_text("{}")
    assert command.main(["speeds", str(tmp_path / "b.json")]) != 0
    assert "b.json: it is none of the files" in capsys.readouterr().err
