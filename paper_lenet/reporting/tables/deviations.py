"""What each deviation from the paper changes in the test error, paired by seed with the frozen reading."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from paper_lenet.config.studies import Study
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, lowest, n_of
from paper_lenet.reporting.results import TableError, errors_by_seed
from paper_lenet.reporting.tables.claims import published_test
from paper_lenet.reporting.tables.common import (
    TAGS,
    differing_fields,
    diverged_note,
    number,
    percent,
    provenance,
    settings,
    statistics_cells,
    usual,
)


def table(results: Path, study: Study) -> Table:
    """One row per deviation: the test error with it minus that of the frozen reading, paired by seed.

    The study's table has `beside`, the runs of the frozen reading, and `own`, deviations that have runs of their own:
    by name in results/runs, tags and change.
    """
    name, frozen_name = study.name, study.table["beside"]
    runs, frozen = published_test(results, name), published_test(results, frozen_name)
    if frozen["fingerprint"].nunique() > 1:
        raise TableError(f"{frozen_name}: several configurations; the frozen reading is one")
    reference = errors_by_seed(frozen)
    header = [
        *("tag", "change", "test error, %", "difference, points", "95 % interval of the difference"),
        *("n pairs", "permutation p", "diverged"),
    ]
    base = usual(runs)
    groups = []
    for _, group in runs.groupby("fingerprint", sort=False):
        fields = differing_fields(group, base)
        tags = sorted({TAGS.get(field, "-") for field in fields}, key=_tag_number)
        groups.append((tags, settings(fields), group))
    used = {name: runs, frozen_name: frozen}
    for other, (tags, change) in study.table["own"].items():
        if (results / "runs" / f"{other}.csv").exists():
            used[other] = published_test(results, other)
            groups.append((tags, change, used[other]))
    rows, counts, differences = [], [], []
    for tags, change, group in sorted(groups, key=lambda each: ([_tag_number(tag) for tag in each[0]], each[1])):
        errors = errors_by_seed(group)
        paired = [seed for seed in errors if seed in reference]
        changed, unchanged = [errors[seed] for seed in paired], [reference[seed] for seed in paired]
        difference, low, high, _ = statistics.paired_t(changed, unchanged)
        counts.append(len(errors))
        differences.append(difference if len(errors) == len(group) else math.nan)
        rows.append(
            [
                *(", ".join(tags), change),
                statistics_cells(list(errors.values()), len(group), percent)[0],
                *(number(difference, "+.3f"), f"{low:+.3f} to {high:+.3f}" if len(paired) > 1 else "-"),
                *(str(len(paired)), number(statistics.permutation_p(changed, unchanged), ".2g")),
                f"{len(group) - len(errors)} of {len(group)}",
            ]
        )
    notes = [
        "Difference: test error with the change minus that of the frozen reading, paired by seed; p is that of the "
        "two-sided paired permutation test. All else is as in the frozen reading.",
        *diverged_note(pd.concat([group for _, _, group in groups])),
        provenance(name, pd.concat(used.values()), list(used)),
    ]
    statistics_note = (
        f"Mean ± standard deviation over {n_of(counts)}; the interval of the difference is Student's t over pairs of "
        "seeds."
    )
    best = lowest(differences, header.index("difference, points"))
    return Table(name, "What each deviation changes in the test error.", header, rows, notes, statistics_note, best)


def _tag_number(tag: str) -> int:
    return int(tag[1:] or 1000)
