"""The functions that an expression of a contract may use, and the types it may cast to.

What belongs here: the list. What does not: finding them in an expression (`expression_rules`). Each function returns
the same value for the same row, on every machine and at any time; none depends on the session, files, other rows or
random numbers. A new function of DuckDB is refused until it is added here. docs/contracts.md lists the groups.
"""

from __future__ import annotations

_OPERATORS = "+ - * / // % ** ^ & | << >> ~ @ || ^@ ~~ !~~ ~~* !~~* ~~~ ->> !__postfix"
_COMPARE = "coalesce ifnull nullif greatest least"
_NUMBERS = """
abs acos acosh add asin asinh atan atan2 atanh bit_count cbrt ceil ceiling cos cosh cot degrees divide even exp
factorial floor fdiv fmod gamma gcd greatest_common_divisor isfinite isinf isnan lcm least_common_multiple lgamma ln
log log10 log2 mod multiply nextafter pi pow power radians round round_even roundbankers sign signbit sin sinh sqrt
subtract tan tanh trunc xor
"""
_TEXTS = """
array_to_string ascii base64 bit_length char_length character_length chr concat concat_ws contains
damerau_levenshtein editdist3 ends_with format from_base64 from_hex hamming hex instr jaccard jaro_similarity
jaro_winkler_similarity lcase left left_grapheme length length_grapheme levenshtein like_escape ilike_escape lower lpad
ltrim md5 mismatches nfc_normalize not_like_escape not_ilike_escape octet_length ord position prefix printf
regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches regexp_replace regexp_split_to_array
repeat replace reverse right right_grapheme rpad rtrim sha1 sha256 split split_part starts_with str_split
str_split_regex string_split string_split_regex string_to_array strip_accents strlen strpos substr substring
substring_grapheme suffix to_base64 to_hex translate trim ucase unhex unicode upper url_decode url_encode
"""
_TIMES = """
century date_add date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth
dayofweek dayofyear decade epoch epoch_ms epoch_ns epoch_us era hour isodow isoyear julian last_day make_date make_time
make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz microsecond millennium millisecond minute month
monthname nanosecond quarter second strftime strptime time_bucket timezone timezone_hour timezone_minute to_centuries
to_days to_decades to_hours to_microseconds to_millennia to_milliseconds to_minutes to_months to_quarters to_seconds
to_timestamp to_weeks to_years try_strptime week weekday weekofyear year yearweek
"""
_LISTS = """
apply array_append array_apply array_cat array_concat array_contains array_distinct array_extract array_filter
array_has array_has_all array_has_any array_indexof array_intersect array_length array_pop_back array_pop_front
array_position array_prepend array_push_back array_push_front array_reverse array_reverse_sort array_select array_slice
array_sort array_transform array_unique array_where array_zip cardinality element_at filter flatten generate_series
len list_any_value list_append list_apply list_avg list_bool_and list_bool_or list_cat list_concat list_contains
list_count list_distinct list_element list_extract list_filter list_first list_has list_has_all list_has_any
list_indexof list_intersect list_last list_max list_median list_min list_mode list_pack list_position list_prepend
list_product list_reverse list_reverse_sort list_select list_slice list_sort list_sum list_transform list_unique
list_value list_where list_zip map map_contains map_entries map_extract map_extract_value map_from_entries map_keys
map_values range row struct_extract struct_pack
"""
_JSON = """
json_array_length json_contains json_exists json_extract json_extract_path json_extract_path_text json_extract_string
json_keys json_type json_valid json_value
"""

ALLOWED_FUNCTIONS = frozenset(" ".join((_OPERATORS, _COMPARE, _NUMBERS, _TEXTS, _TIMES, _LISTS, _JSON)).split())

# Those that take a lambda as their second argument.
LAMBDA_FUNCTIONS = frozenset(
    {
        "apply", "array_apply", "array_filter", "array_transform", "filter", "list_apply", "list_filter",
        "list_transform",
    }
)  # fmt: skip

ALLOWED_TYPES = frozenset(
    {
        "BIGINT", "BLOB", "BOOLEAN", "DATE", "DECIMAL", "DOUBLE", "FLOAT", "HUGEINT", "INTEGER", "INTERVAL", "JSON",
        "SMALLINT", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP_S",
        "TINYINT", "UBIGINT", "UHUGEINT", "UINTEGER", "USMALLINT", "UTINYINT", "UUID", "VARCHAR",
    }
)  # fmt: skip
