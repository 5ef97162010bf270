"""Which encoding of a text is named first: the one in which its words are words."""

import pytest

from include.ingestion.readers.likely_encodings import ranked

pytestmark = pytest.mark.unit

TEXTS = {
    "German": ("Größe;Übermaß\n", "cp1252"),
    "German of DOS": ("Größe;Übermaß\n", "cp850"),
    "German of old Macs": ("Größe;Übermaß\n", "mac_roman"),
    "one word": ("Müller\n", "cp1252"),
    "French": ("Élève;garçon;où\n", "cp1252"),
    "quotes of Windows": ("Preis;\u201eneu\u201c \u2013 5 \u20ac; Größe\n", "cp1252"),
    "signs of units": ("id,Temp (°C),size µm,n\n1,20.5,3,4\n", "cp1252"),
    "degrees": ("id,Temp (°C)\n1,20.5\n", "cp1252"),
    "micrometres": ("id,size µm\n1,2\n", "cp1252"),
    "euro": ("id,price €\n1,2\n", "cp1252"),
    "euro and a letter": ("id,name,price\n1,Tea,€ 3\n2,Café,€ 4\n", "cp1252"),
    "Spanish": ("id;descripción\n1;Año nuevo señor\n2;¿Qué?\n", "cp1252"),
    "a question in Spanish": ("id;texto\n1;¿Cuando?\n", "cp1252"),
    "a call in Spanish": ("id;texto\n1;¡Hola!\n", "cp1252"),
    "euro of ISO": ("id;name;preis\n1;Müller;5 €\n2;Jäger;6 €\n", "iso8859_15"),
    "Polish": ("Łódź;Żywność;żółć\n", "cp1250"),
    "Polish of ISO": ("Łódź;Żywność;śledź\n", "iso8859_2"),
    "Czech": ("Příliš žluťoučký kůň úpěl ďábelské ódy\n", "cp1250"),
    "Hungarian": ("árvíztűrő tükörfúrógép\n", "cp1250"),
    "Turkish": ("İstanbul;Şişli;Kadıköy;ağaç\n", "cp1254"),  # noqa: RUF001
    "Lithuanian": ("Šiauliai;ąžuolas;žmogus\n", "cp1257"),
    "Russian": ("Сергей Иванов;Санкт-Петербург\n", "cp1251"),
    "Russian of Unix": ("Сергей Иванов;Москва\n", "koi8_r"),
    "Russian of DOS": ("Сергей Иванов;Москва\n", "cp866"),
    "Ukrainian": ("Київ;Їжак;ґанок\n", "cp1251"),
    "Greek": ("Γιώργος Παπαδόπουλος;Θεσσαλονίκη\n", "cp1253"),
    "Hebrew": ("שלום עולם;תל אביב\n", "cp1255"),
    "Arabic": ("القاهرة;مرحبا بالعالم\n", "cp1256"),
    "Japanese": ("東京都;こんにちは世界\n", "cp932"),
    "Korean": ("서울;안녕하세요 세계\n", "euc_kr"),
    "Chinese": ("北京市;你好世界\n", "gb18030"),
}


@pytest.mark.parametrize("times", [1, 30])
@pytest.mark.parametrize(("text", "encoding"), TEXTS.values(), ids=list(TEXTS))
def test_the_encoding_in_which_words_are_words_comes_first(text: str, encoding: str, times: int) -> None:
    content = (text * times).encode(encoding)
    # Another encoding that gives the same text is as good.
    assert content.decode(ranked(content)[0]) == text * times


def test_a_cut_off_character_at_the_end_refuses_no_encoding() -> None:
    assert ranked("東京都;こんにちは世界".encode("cp932")[:-1])[0] == "cp932"


def test_bytes_that_no_encoding_has_as_words_give_none() -> None:
    assert ranked(b"plain") == []
