"""python experiments/export_onnx.py lenet5-1998 [--output FILE]: see paper_lenet/commands/export.py."""

import _start

if __name__ == "__main__":
    _start.command("export")
