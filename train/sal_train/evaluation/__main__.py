"""``sal-eval``, also as ``python -m sal_train.evaluation``."""

from sal_runtime.console import launch


def main() -> None:
    """Run the command."""
    launch("sal_train.evaluation.cli", "sal-eval")


if __name__ == "__main__":
    main()
