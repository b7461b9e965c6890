"""Recipes: every row of the paper's tables has one, and what is wrong in a file is said by name."""

from pathlib import Path

import pytest

from sal_runtime.errors import InputError
from sal_train.models import CONFIGS
from sal_train.recipe import load_recipe, shipped


@pytest.mark.parametrize("name", shipped())
def test_shipped_recipes_are_valid_and_start_from_something_that_exists(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.start in {"scratch", "imagenet", *shipped()}


def test_every_configuration_has_a_recipe_of_its_name() -> None:
    assert set(CONFIGS) <= set(shipped())
    assert all(load_recipe(name).config == name for name in CONFIGS)


def test_the_papers_training_is_the_default() -> None:
    """Section 4: Adam at 1e-7, ten frames of one video, seven epochs, cross-entropy; 27 epochs for SalBCE."""
    for name in CONFIGS:
        recipe = load_recipe(name)
        if name.startswith("compact") or name in ("salbce", "salema30-learnt"):
            continue
        assert (recipe.optimizer.name, recipe.optimizer.lr, recipe.batch) == ("adam", 1e-7, 1)
        assert [(p.epochs, p.length) for p in recipe.phases] == [(7, 10)]
        assert (recipe.loss.bce, recipe.loss.kl, recipe.loss.reduction, recipe.start) == (1.0, 0.0, "mean", "salbce")
        assert recipe.data.size == (192, 256)
    assert (load_recipe("salbce").epochs, load_recipe("salbce").start) == (27, "imagenet")
    learnt = load_recipe("salema30-learnt")
    assert (learnt.epochs, learnt.optimizer.alpha_lr, learnt.train_only, learnt.start) == (3, 0.1, "alpha", "salema30")


def test_the_released_codes_differences_are_options() -> None:
    recipe = load_recipe("salema30-released")
    assert (recipe.loss.reduction, recipe.optimizer.weight_decay, recipe.optimizer.clip_norm) == ("sum", 1e-4, 100.0)
    assert recipe.config == "salema30-dropout", "taken over from what it is based on"


def test_phases_follow_each_other() -> None:
    recipe = load_recipe("compact-ema", {"phases": [{"epochs": 2, "length": 1}, {"epochs": 1, "length": 4}]})
    assert [recipe.phase_of(epoch).length for epoch in range(3)] == [1, 1, 4]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("lr: 3", "title: Field required"),
        ("{based_on: salema30, rate: 3}", "rate: Extra inputs are not permitted"),
        ("{based_on: salema30, config: salema31}", "config: there is no configuration 'salema31'"),
        ("{based_on: salema30, batch: 4}", "the recipe: videos are read one at a time, so the batch is 1"),
        ("{based_on: salema30, optimizer: {lr: -1}}", "optimizer.lr: Input should be greater than 0"),
        ("{based_on: salema30, data: {kind: stills}, loss: {adversarial: true}}", "every phase has length 1"),
        ("{based_on: salema31}", "there is no recipe 'salema31'; choose from compact-clstm, compact-ema"),
        ("{based_on: mine}", "is based on itself"),
        ("[1, 2]", "a recipe is a table of values"),
        ("a: [", "not a YAML file"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_recipe(str(path))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
