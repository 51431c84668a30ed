"""LeNet-5 as described by LeCun, Bottou, Bengio and Haffner in 1998, made runnable."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paper_lenet.network.pretrained import load_pretrained
    from paper_lenet.strings.pictures import read_pictures

__all__ = ["load_pretrained", "read_pictures"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    # Not at the top: whoever needs a table or a configuration only shall not wait for torch.
    if name == "load_pretrained":
        from paper_lenet.network.pretrained import load_pretrained

        return load_pretrained
    if name == "read_pictures":
        from paper_lenet.strings.pictures import read_pictures

        return read_pictures
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _version() -> str:
    """That of the package that is installed, or of the checkout that this is."""
    import importlib.metadata
    import tomllib
    from pathlib import Path

    try:
        return importlib.metadata.version("paper-lenet")
    except importlib.metadata.PackageNotFoundError:
        project = Path(__file__).parents[1] / "pyproject.toml"
        version: str = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
        return f"{version}+checkout"
