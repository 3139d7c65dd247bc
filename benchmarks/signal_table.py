"""Are both streams better than the better single stream? Eight synthetic sets, seeds 0 to 7.

python -m benchmarks.signal_table        about 2 minutes on two cores
"""

import pandas as pd
from scipy.stats import ttest_rel

from benchmarks.signals import FUSIONS, test_scores

SEEDS = range(8)


def main() -> None:
    found = {seed: test_scores(seed, "joint", FUSIONS) for seed in SEEDS}
    for metric in ("accuracy", "balanced_accuracy", "auc"):
        rows = {seed: {name: s[metric] for name, s in found[seed].items()} for seed in SEEDS}
        table = pd.DataFrame(rows).T.rename_axis("seed")
        better = table[["context", "face"]].max(axis=1)
        test = ttest_rel(table.both, better, alternative="greater")
        print(f"\n{metric} on test\n{table.round(3).to_string()}")
        print(f"mean {table.mean().round(3).to_dict()}, sd {table.std().round(3).to_dict()}")
        gain = (table.both - better).mean()
        print(
            f"both - better single: {gain:+.3f}, paired t {test.statistic:.2f}, p {test.pvalue:.2g}"
        )
        assert test.pvalue < 0.05, metric


if __name__ == "__main__":
    main()
