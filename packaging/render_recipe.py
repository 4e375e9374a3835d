"""Render the conda recipe as rattler-build does, which refuses what is none: `make packaging`."""

from pathlib import Path

from rattler_build import Stage0Recipe, VariantConfig

for variant in Stage0Recipe.from_file(str(Path(__file__).with_name("recipe.yaml"))).render(VariantConfig()):
    print(variant)
