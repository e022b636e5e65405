"""Great Expectations' own expectation names and arguments, kept here so that reading a file does not import it.

A test compares them with the installed registry.
"""

from __future__ import annotations

from collections.abc import Mapping

_WHERE = "row_condition condition_parser"
_BETWEEN = "min_value max_value strict_min strict_max"
_EACH = f"column! mostly {_WHERE}"
_PAIR = f"column_A! column_B! mostly {_WHERE}"

ARGUMENTS: Mapping[str, frozenset[str]] = {
    name: frozenset(arguments.split())
    for name, arguments in {
        "expect_column_distinct_values_to_be_in_set": f"column! {_WHERE} value_set!",
        "expect_column_distinct_values_to_contain_set": f"column! {_WHERE} value_set!",
        "expect_column_distinct_values_to_equal_set": f"column! {_WHERE} value_set!",
        "expect_column_kl_divergence_to_be_less_than": (
            f"column! {_WHERE} partition_object threshold internal_weight_holdout tail_weight_holdout bucketize_data "
            "min_value max_value"
        ),
        "expect_column_max_to_be_between": f"column! {_WHERE} {_BETWEEN}",
        "expect_column_mean_to_be_between": f"column! {_WHERE} {_BETWEEN}",
        "expect_column_median_to_be_between": f"column! {_WHERE} {_BETWEEN}",
        "expect_column_min_to_be_between": f"column! {_WHERE} {_BETWEEN}",
        "expect_column_most_common_value_to_be_in_set": f"column! {_WHERE} value_set! ties_okay",
        "expect_column_pair_values_a_to_be_greater_than_b": f"{_PAIR} or_equal ignore_row_if",
        "expect_column_pair_values_to_be_equal": f"{_PAIR} ignore_row_if",
        "expect_column_pair_values_to_be_in_set": f"{_PAIR} value_pairs_set! ignore_row_if",
        "expect_column_proportion_of_non_null_values_to_be_between": f"column! {_WHERE} {_BETWEEN}",
        "expect_column_proportion_of_unique_values_to_be_between": f"column! {_WHERE} {_BETWEEN}",
        "expect_column_quantile_values_to_be_between": f"column! {_WHERE} quantile_ranges! allow_relative_error",
        "expect_column_stdev_to_be_between": f"column! {_WHERE} {_BETWEEN}",
        "expect_column_sum_to_be_between": f"column! {_WHERE} {_BETWEEN}",
        "expect_column_to_exist": "column! column_index",
        "expect_column_type_to_be": "column! type_!",
        "expect_column_unique_value_count_to_be_between": f"column! {_WHERE} {_BETWEEN}",
        "expect_column_value_lengths_to_be_between": f"{_EACH} {_BETWEEN}",
        "expect_column_value_lengths_to_equal": f"{_EACH} value!",
        "expect_column_value_z_scores_to_be_less_than": f"{_EACH} threshold! double_sided!",
        "expect_column_values_to_be_between": f"{_EACH} {_BETWEEN}",
        "expect_column_values_to_be_dateutil_parseable": _EACH,
        "expect_column_values_to_be_decreasing": f"{_EACH} strictly",
        "expect_column_values_to_be_in_set": f"{_EACH} value_set!",
        "expect_column_values_to_be_in_type_list": f"{_EACH} type_list",
        "expect_column_values_to_be_increasing": f"{_EACH} strictly",
        "expect_column_values_to_be_json_parseable": _EACH,
        "expect_column_values_to_be_null": _EACH,
        "expect_column_values_to_be_of_type": f"{_EACH} type_!",
        "expect_column_values_to_be_unique": _EACH,
        "expect_column_values_to_match_json_schema": f"{_EACH} json_schema!",
        "expect_column_values_to_match_like_pattern": f"{_EACH} like_pattern! escape",
        "expect_column_values_to_match_like_pattern_list": f"{_EACH} like_pattern_list! match_on escape",
        "expect_column_values_to_match_regex": f"{_EACH} regex",
        "expect_column_values_to_match_regex_list": f"{_EACH} regex_list! match_on",
        "expect_column_values_to_match_strftime_format": f"{_EACH} strftime_format!",
        "expect_column_values_to_not_be_in_set": f"{_EACH} value_set!",
        "expect_column_values_to_not_be_null": _EACH,
        "expect_column_values_to_not_be_outliers": f"{_EACH} method multiplier",
        "expect_column_values_to_not_match_like_pattern": f"{_EACH} like_pattern! escape",
        "expect_column_values_to_not_match_like_pattern_list": f"{_EACH} like_pattern_list! escape",
        "expect_column_values_to_not_match_regex": f"{_EACH} regex!",
        "expect_column_values_to_not_match_regex_list": f"{_EACH} regex_list!",
        "expect_compound_columns_to_be_unique": f"column_list! mostly {_WHERE} ignore_row_if",
        "expect_multicolumn_sum_to_equal": f"column_list! mostly {_WHERE} ignore_row_if sum_total!",
        "expect_multicolumn_values_to_be_equal": f"column_list! mostly {_WHERE} ignore_row_if",
        "expect_query_results_to_match_comparison": "base_query! comparison_data_source_name! comparison_query! mostly",
        "expect_select_column_values_to_be_unique_within_record": f"column_list! mostly {_WHERE} ignore_row_if",
        "expect_table_column_count_to_be_between": "min_value max_value",
        "expect_table_column_count_to_equal": "value!",
        "expect_table_columns_to_match_ordered_list": "column_list",
        "expect_table_columns_to_match_set": "column_set exact_match",
        "expect_table_row_count_to_be_between": f"{_BETWEEN} {_WHERE}",
        "expect_table_row_count_to_equal": f"value! {_WHERE}",
        "expect_table_row_count_to_equal_other_table": f"other_table_name! {_WHERE}",
    }.items()
}
"""For each expectation what may be given to it; a name that ends in ! must be."""

EXPECTATIONS = frozenset(ARGUMENTS)
