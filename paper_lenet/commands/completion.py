"""What bash completes with the tabulator key: eval "$(paper-lenet completion)"; in zsh after bashcompinit.

Commands; for those that train also groups of conf/, keys, and their choices; else files.
"""

from __future__ import annotations

import argparse

from paper_lenet.commands.entry import commands
from paper_lenet.config.rules import CHOICES
from paper_lenet.config.schema import defaults
from paper_lenet.config.studies import CONF

CONFIGURED = ("train", "reproduce", "rates")  # commands that take the keys of a configuration
# Bash takes a = for the end of a word, so a whole word is what stands behind the last blank, and what stands in front
# of the = is not written again.
SCRIPT = """_paper_lenet() {
    local line=${COMP_LINE:0:COMP_POINT} command= words='@COMMANDS@'
    local word=${line##* }
    read -r _ command _ <<< "$line"
    if [[ $line == *' '*' '* ]]; then
        case $command in
            @CONFIGURED@) words='@WORDS@' ;;
            *) words= ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
    if [[ $word == *=* ]]; then COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*=}"}"}"); fi
}
complete -o default -F _paper_lenet paper-lenet"""


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    words = {"@COMMANDS@": commands(), "@CONFIGURED@": "|".join(CONFIGURED), "@WORDS@": configured()}
    script = SCRIPT
    for name, value in words.items():
        script = script.replace(name, value if isinstance(value, str) else " ".join(value))
    print(script)
    return 0


def configured() -> list[str]:
    """Groups and their files, keys, and the choices of those that have them."""
    files = [f"{path.parent.name}={path.stem}" for path in sorted(CONF.glob("*/*.yaml"))]
    choices = [f"{key}={value}" for key, values in CHOICES.items() for value in values]
    engines = [f"engine={name}" for name in CHOICES["engine.name"]]
    return [*files, *engines, *choices, *(f"{key}=" for key in defaults() if key not in CHOICES)]
