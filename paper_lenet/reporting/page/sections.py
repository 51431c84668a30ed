"""The sections of the report page, in order, and what is seen of each at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A part of the page: a finding with one figure and one short table; all else of it is there to be unfolded.

    Tables, figures and studies say by its key that they stand in it.
    figure: the one that is seen at once.  table, rows, columns: what is seen at once of a table: the first row that
    begins with each of `rows`, or the first ones; the columns of these names, or all.
    """

    key: str
    title: str
    lead: str
    figure: str = ""
    table: str = ""
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


WALL, ROWS, COSTS, RATES = "errors", "strings", "classifiers", "deviations"  # the sections with something to be tried
SECTIONS = (
    Section(
        "headline",
        "The published errors, once more",
        "LeNet-5 trained with the rates that the paper prints, on seeds that had no part in any choice. “Reproduced” "
        "means that the paper's number could be one more run of ours.",
        "fig5-fig5",
        "claims",
        (
            *("test error, 60,000 patterns, %", "test error, 30,000 patterns, %", "test error, 15,000 patterns, %"),
            *("test error with distortions", "gain from distortions", "training error on the fly, pass 20, %"),
            *("training curve, farthest from Fig. 5", "training error on the fly, 15,000 patterns, %"),
        ),
        ("paper", "ours, mean ± std", "n seeds", "verdict"),
    ),
    Section(
        "printed",
        "The network of 1998, out of a printed page",
        "Fig. 13 prints every state of a trained LeNet-5. Its first four layers are recovered from the greys of the "
        "page. They predict the states of Fig. 25, and with new upper layers they still read MNIST.",
        "kernels-1998",
        "fronts",
        (
            *("1998, recovered from Fig. 13, today's", "ours, as the headline's networks, today's"),
            *("random, as before training, today's", "1998, recovered from Fig. 13, 1998's"),
            *("ours, as the headline's networks, 1998's", "random, as before training, 1998's"),
        ),
        ("recipe", "plain: test error, %", "plain: interval"),
    ),
    Section(
        WALL,
        "It fails where the paper's network failed",
        "Fig. 8 shows the 82 test images that the paper's network got wrong, trained with distortions. The table says "
        "how many of them a seed of ours gets wrong, too.",
        "",
        "overlap",
        ("errors of a seed", "of these, among", "expected by chance", "expected by equal difficulty"),
        ("without distortions", "with distortions"),
    ),
    Section(
        RATES,
        "Where the paper leaves a choice",
        "What each deviation from the text changes in the test error, one at a time. The studies that chose the "
        "reading of the recipe never looked at the test set. The tags are those of DEVIATIONS.md.",
        "recipes",
        "deviations",
        ("D1", "D2", "D3", "D5", "D6", "D9", "D11", "D12"),
        ("change", "difference, points", "95 % interval of the difference"),
    ),
    Section(
        COSTS,
        "The other classifiers of 1998",
        "Section III-C: what Figs. 9 to 12 compare LeNet-5 with, trained and measured here.",
        "fig9",
        "comparison",
        (
            *("linear", "knn euclidean", "40 pca + quadratic", "28x28-300-10", "16x16 lenet-1", "lenet-4", "lenet-5"),
            "dist v-svm poly 9",
        ),
        ("paper, %", "test error, mean ± std, %", "n", "verdict"),
    ),
    Section(
        "today",
        "From the recipe of 1998 to that of today",
        "One step upon another, and below it each detail by itself. Three public tutorials of networks that "
        "they call LeNet-5 are there, too.",
        "ablation-ladder",
        "ablation-ladder",
        ("0 ", "2 ", "3 ", "4 ", "5 ", "6 ", "7 ", "8 "),
        ("test error, %", "minus 1998, points", "its 95 % interval", "p by Holm"),
    ),
    Section(
        ROWS,
        "Strings of digits, read without cutting them",
        "Sections V to X: a network that moves over the string (SDNN), or pieces between cuts (HOS), trained on "
        "characters or on whole strings; beside them the ways of today.",
        "fig25-26",
        "strings-short",
    ),
    Section(
        "noise",
        "What is noise",
        "What nobody controls: the order in which sums are rounded, and the seed.",
        "",
        "noise",
        (),
        ("n runs", "test error, %", "spread, of that of the seeds"),
    ),
    Section(
        "network",
        "The network and its training, in figures",
        "The codes that F6 is compared with, the connections, the kernels, the learning rates, and which digit is "
        "taken for which.",
    ),
    Section(
        "figures",
        "Section III-B, figure by figure",
        "The error against the size of the training set, the distortions, and the images that ours get wrong.",
    ),
    Section(
        "quarter",
        "At a quarter of the printed rates",
        "The reading of the first study, which was the headline before the second: the same numbers with it.",
    ),
    Section("more", "More results", "Results that no other section has."),
)
