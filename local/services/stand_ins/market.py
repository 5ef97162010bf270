"""The invented market behind CoinGecko and Binance: coins and their prices at any time.

What belongs here: what both APIs report. What does not: their formats (`coingecko`, `binance`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.services.stand_ins.values import Values

# Units of a currency for one US dollar.
CURRENCIES = {"usd": 1.0, "eur": 0.92, "gbp": 0.79, "jpy": 150.0}
_INVENTED = 283


@dataclass(frozen=True)
class Coin:
    """A coin.

    Attributes:
        price: in US dollars, around which it moves.
        supply: coins in circulation.
        most: coins that can ever exist; None if there is no limit.
        swing: how far the price moves: 0.3 is up to 35 % above its usual value.
    """

    id: str
    symbol: str
    name: str
    price: float
    supply: float
    most: float | None = None
    swing: float = 0.3

    @property
    def is_invented(self) -> bool:
        """Whether it has no real counterpart."""
        return self.id.startswith("invented-")


_KNOWN = (
    Coin("bitcoin", "btc", "Bitcoin", 64_000.0, 19_950_000, 21_000_000, 0.2),
    Coin("ethereum", "eth", "Ethereum", 3_100.0, 120_600_000),
    Coin("tether", "usdt", "Tether", 1.0, 119_500_000_000, swing=0.001),
    Coin("binancecoin", "bnb", "BNB", 580.0, 145_900_000, 200_000_000),
    Coin("solana", "sol", "Solana", 145.0, 467_000_000),
    Coin("ripple", "xrp", "XRP", 0.58, 56_300_000_000, 100_000_000_000),
    Coin("dogecoin", "doge", "Dogecoin", 0.12, 145_900_000_000),
    Coin("cardano", "ada", "Cardano", 0.42, 35_600_000_000, 45_000_000_000),
    Coin("tron", "trx", "TRON", 0.13, 86_700_000_000),
    Coin("avalanche-2", "avax", "Avalanche", 28.0, 405_000_000, 720_000_000),
    Coin("chainlink", "link", "Chainlink", 13.0, 608_000_000, 1_000_000_000),
    Coin("polkadot", "dot", "Polkadot", 5.8, 1_430_000_000),
    Coin("litecoin", "ltc", "Litecoin", 72.0, 74_900_000, 84_000_000),
    Coin("monero", "xmr", "Monero", 158.0, 18_400_000),
    Coin("stellar", "xlm", "Stellar", 0.1, 29_400_000_000, 50_001_806_812),
    Coin("uniswap", "uni", "Uniswap", 7.4, 600_000_000, 1_000_000_000),
    Coin("shiba-inu", "shib", "Shiba Inu", 0.0000172, 589_250_000_000_000),
)


@lru_cache(maxsize=4)
def coins(values: Values) -> tuple[Coin, ...]:
    """All coins: well-known ones, and smaller ones without a real counterpart, so that there are several pages."""
    invented = []
    for number in range(1, _INVENTED + 1):
        price = 10 ** (6 * values.share("price", number) - 4)
        supply = 10 ** (5 + 2 * values.share("supply", number)) / price
        most = round(supply * 1.5) if values.share("most", number) < 0.4 else None
        invented.append(Coin(f"invented-{number}", f"inv{number}", f"Invented {number}", price, round(supply), most))
    return (*_KNOWN, *invented)


def price_at(values: Values, coin: Coin, time: float) -> float:
    """The price of a coin in US dollars; `time` is in seconds since 1970."""
    return coin.price * math.exp(coin.swing * values.wave(coin.id, time))


def volume_at(values: Values, coin: Coin, time: float) -> float:
    """The US dollars that are traded in a day."""
    return coin.price * coin.supply * 0.04 * math.exp(values.wave(f"volume of {coin.id}", time))
