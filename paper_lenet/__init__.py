"""LeNet-5 as described by LeCun, Bottou, Bengio and Haffner in 1998, made runnable."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paper_lenet.network.pretrained import load_pretrained
    from paper_lenet.strings.pictures import read_pictures

__all__ = ["load_pretrained", "read_pictures"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from paper_lenet.commands.entry import version

        return version()
    # Not at the top: whoever needs a table or a configuration only shall not wait for torch.
    if name == "load_pretrained":
        from paper_lenet.network.pretrained import load_pretrained

        return load_pretrained
    if name == "read_pictures":
        from paper_lenet.strings.pictures import read_pictures

        return read_pictures
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
