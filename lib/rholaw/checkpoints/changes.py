"""What a model does beside multiplying by its matrices, or in place of writing: their errors do not tell its loss."""

from dataclasses import dataclass

DRAFTS, SEES, TURNED, ROUNDS, UNAPPLIED, BLANK = "drafts", "sees", "turned", "rounds", "unapplied", "blank"
"""It drafts for another model, sees or hears for one, has inputs that are rotated, matrices of two or three values that
are rounded as it runs, or tensors beside its matrices that change what these compute; or it holds no values."""


@dataclass(frozen=True)
class Change:
    """One of these codes, or "", ``told``, a sentence on it, and ``what`` says so, a name; false for nothing."""

    code: str = ""
    told: str = ""
    what: str = ""

    def __bool__(self) -> bool:
        return bool(self.code)

    def __str__(self) -> str:
        return self.told


NONE = Change()
BITNET = Change(
    ROUNDS, "it is a BitNet, whose matrices and inputs are rounded whenever it runs, whatever lies in the file"
)
