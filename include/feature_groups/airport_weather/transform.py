"""Weather as it landed."""

from pyspark.sql import DataFrame

from include.mlops.features import Reads


def transform(weather: DataFrame, reads: Reads) -> DataFrame:
    return weather
