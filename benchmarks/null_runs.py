"""Are scores on data without signal at chance level? 20 runs on a synthetic set each.

python -m benchmarks.null_runs        about a minute on two cores
"""

import pandas as pd

from benchmarks.signals import test_scores

RUNS = range(20)


def main() -> None:
    rows = [test_scores(seed, "none", {"both": "interfusion"})["both"] for seed in RUNS]
    table = pd.DataFrame(rows)
    for metric in ("balanced_accuracy", "auc"):
        mean, error = table[metric].mean(), table[metric].sem()
        away = (mean - 0.5) / error
        print(f"{metric}: mean {mean:.3f}, standard error {error:.3f}, {away:+.2f} errors from 0.5")
        assert abs(away) < 3, metric


if __name__ == "__main__":
    main()
