"""What the words of a column's name say about its values: a code of digits, money or a measure.

What belongs here: the words. What does not: what a draft makes of them (`profile`, `keys`).
"""

from __future__ import annotations

import re

# Words of money and measures: a column that has one in its name is no key, unless its name ends as a key's does.
MEASURE = re.compile(
    r"(^|_)(amount|amt|price|prices|cost|costs|total|subtotal|sum|balance|fee|fees|tax|taxes|vat|rate|revenue|salary|"
    r"wage|turnover|sales|profit|margin|discount|percent|pct|share|ratio|score|points|quantity|qty|count|cnt|volume|"
    r"weight|mass|kwh|reading|measurement|betrag|preis|summe|menge|anzahl|saldo|umsatz|rabatt|steuer|gewicht|wert|"
    r"kosten|gebuehr|montant|prix|quantite|precio|importe|cantidad|kwota|cena|ilosc|height|width|length|depth|size|"
    r"area|distance|duration|seconds|minutes|hours|days|age|speed|temperature|temp|pressure|humidity|lat|latitude|lon|"
    r"lng|longitude|value|level|stock|inventory)(_|$)|(betrag|preis|summe|menge|saldo|rabatt|gewicht|kosten)$"
)
# Codes are written with digits, but they are no quantities, and a zero in front belongs to them.
_CODE = re.compile(
    r"(^|_)(plz|postleitzahl|zip|zip[45]|zipcode|postcode|postal|postalcode|phone|phones|phonenumber|telefon|telephone|"
    r"tel|mobile|mobil|handy|fax|konto|kontonr|account|accountnumber|acct|iban|bic|blz|bankleitzahl|sku|ean|ean13|gtin|"
    r"gtin13|upc|isbn|isbn13|issn|barcode|code|codes|\w*nummer|artikelnr|teilenr|materialnr|telefonnr|"
    r"(artikel|article|art|item|part|parts|product|produkt|material|teile?)_?(no|nr|num|number))(_|$)"
)
_NEW_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def words_apart(header: str) -> str:
    """A header with a `_` before each capital inside of a word: `zipCode` becomes `zip_Code`."""
    return _NEW_WORD.sub("_", header)


def is_code(name: str) -> bool:
    """Whether a column of this name holds codes, such as postal codes, phone numbers, accounts or article numbers."""
    return _CODE.search(name) is not None and MEASURE.search(name) is None
