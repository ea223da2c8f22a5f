"""Writes the Chinese texts by which finding personal data is measured: every number in them is invented.

    python bench/chinese_personal_data.py > bench/data/personal_data_zh.jsonl

A line is a text with its entities (type, start, end). A third of the texts are near-misses, and hold none: numbers
whose checksum is wrong, order numbers, dates, amounts, versions, places without a house number. Everything follows from
the seed. The values are drawn here and not by ``safety/pseudonyms.py``. The sentences are those that the recognisers
were tried on while they were written, so the scores on them say that nothing broke, not how well strange text is read.
"""

from __future__ import annotations

import datetime
import itertools
import json
import random
import sys
from collections.abc import Callable, Iterator

from stdnum.cn import ric, uscc
from stdnum.luhn import calc_check_digit

SEED = 20240517
TEXTS = 900
REGIONS = (
    "110101",
    "110108",
    "120103",
    "130102",
    "210102",
    "220102",
    "310104",
    "320105",
    "330106",
    "340104",
    "350203",
    "360102",
    "370202",
    "410105",
    "420106",
    "430102",
    "440106",
    "500103",
    "510107",
    "610113",
)
MOBILE = (
    "130",
    "131",
    "133",
    "135",
    "136",
    "137",
    "138",
    "139",
    "150",
    "151",
    "152",
    "155",
    "158",
    "159",
    "176",
    "177",
    "180",
    "182",
    "186",
    "187",
    "188",
    "189",
    "198",
    "199",
)
AREAS = ("010", "021", "022", "023", "024", "025", "027", "028", "029", "0571", "0755", "0532", "0731", "0371")
CITIES = (
    ("北京市", "朝阳区"),
    ("上海市", "浦东新区"),
    ("广东省深圳市", "南山区"),
    ("浙江省杭州市", "西湖区"),
    ("四川省成都市", "武侯区"),
    ("湖北省武汉市", "洪山区"),
    ("江苏省南京市", "鼓楼区"),
    ("陕西省西安市", "雁塔区"),
    ("天津市", "和平区"),
    ("重庆市", "渝中区"),
    ("山东省青岛市", "市南区"),
    ("福建省厦门市", "思明区"),
)
ROADS = ("建国路", "人民南路", "学院路", "文三路", "科技大道", "中山路", "解放大街", "光明巷", "滨江路", "和平里西街")
COMMUNITIES = ("阳光花园", "幸福小区", "锦绣家园", "翠湖苑", "金地公寓")
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"

Drawn = Callable[[random.Random], str]


def digits(draw: random.Random, count: int) -> str:
    return "".join(draw.choice("0123456789") for _ in range(count))


def day(draw: random.Random, first: int, last: int) -> datetime.date:
    start = datetime.date(first, 1, 1)
    return start + datetime.timedelta(days=draw.randrange((datetime.date(last, 12, 31) - start).days))


def written(date: datetime.date) -> str:
    return f"{date.year}年{date.month}月{date.day}日"


def id_number(draw: random.Random) -> str:
    while True:
        head = f"{draw.choice(REGIONS)}{day(draw, 1955, 2005):%Y%m%d}{digits(draw, 3)}"
        made = head + ric.calc_check_digit(head + "0")
        if ric.is_valid(made):
            return made


def wrong_id_number(draw: random.Random) -> str:
    made = id_number(draw)
    return made[:-1] + draw.choice([one for one in "0123456789" if one != made[-1]])


def mobile(draw: random.Random) -> str:
    number = draw.choice(MOBILE) + digits(draw, 8)
    return draw.choice(
        [number] * 4
        + [f"{number[:3]} {number[3:7]} {number[7:]}", f"{number[:3]}-{number[3:7]}-{number[7:]}", f"+86 {number}"]
    )


def landline(draw: random.Random) -> str:
    area = draw.choice(AREAS)
    return f"{area}{draw.choice(['-', '-', ''])}{draw.choice('5678')}{digits(draw, 7)}"


def bank_card(draw: random.Random) -> str:
    head = draw.choice(["622202", "622848", "621700", "622588", "621226", "625912"]) + digits(
        draw, draw.choice([9, 12])
    )
    number = head + calc_check_digit(head)
    return " ".join(number[n : n + 4] for n in range(0, len(number), 4)) if draw.random() < 0.25 else number


def wrong_bank_card(draw: random.Random) -> str:
    number = bank_card(draw).replace(" ", "")
    return number[:-1] + str((int(number[-1]) + draw.randrange(1, 10)) % 10)


def company_code(draw: random.Random) -> str:
    head = "91" + draw.choice(REGIONS) + digits(draw, 8) + draw.choice("0123456789ABCDEFGH")
    return head + uscc.calc_check_digit(head + "0")


def wrong_company_code(draw: random.Random) -> str:
    made = company_code(draw)
    return made[:-1] + ("0" if made[-1] != "0" else "1")


def passport(draw: random.Random) -> str:
    return draw.choice(["E" + digits(draw, 8), "G" + digits(draw, 8), "E" + draw.choice("ABCDEFGH") + digits(draw, 7)])


def plate(draw: random.Random) -> str:
    place = draw.choice("京沪粤浙苏川鄂鲁闽陕津渝") + draw.choice("ABCDEFGH")
    body = draw.choice(
        [
            digits(draw, 5),
            draw.choice(LETTERS) + digits(draw, 4),
            "D" + digits(draw, 5),
            digits(draw, 3) + draw.choice(LETTERS) + digits(draw, 1),
        ]
    )
    return place + draw.choice(["", "", "·"]) + body


def wechat(draw: random.Random) -> str:
    name = draw.choice(["zhang", "wang", "lihua", "chen_xm", "sunny", "xiaoliu", "wxid_k3"])
    return name + draw.choice(["_", "", "-"]) + digits(draw, draw.choice([2, 4, 6])) + draw.choice(["", "abc"])


def qq(draw: random.Random) -> str:
    return draw.choice("123456789") + digits(draw, draw.choice([6, 8, 9]))


def address(draw: random.Random) -> str:
    city, district = draw.choice(CITIES)
    house = f"{draw.randrange(1, 600)}号"
    flat = draw.choice(
        [
            "",
            f"{draw.randrange(1, 30)}栋{draw.randrange(1, 5)}单元{draw.randrange(101, 2800)}室",
            f"{draw.choice(COMMUNITIES)}{draw.randrange(1, 20)}号楼{draw.randrange(101, 990)}室",
        ]
    )
    return f"{city}{district}{draw.choice(ROADS)}{house}{flat}"


def near_address(draw: random.Random) -> str:
    return f"{draw.choice(CITIES)[1]}{draw.choice(ROADS)}{draw.randrange(1, 600)}号"


def email(draw: random.Random) -> str:
    local = draw.choice(["zhangwei", "li.na", "service", "wang_fang", "cxm"]) + digits(draw, draw.choice([0, 2, 4]))
    return f"{local}@{draw.choice(['example.com', 'mail.example.cn', 'example.org'])}"


def url(draw: random.Random) -> str:
    return draw.choice(
        ["https://www.example.cn/", "http://shop.example.com/item?id=", "https://example.org/u/"]
    ) + digits(draw, 4)


def ip(draw: random.Random) -> str:
    return ".".join(str(draw.randrange(1, 255)) for _ in range(4))


def born(draw: random.Random) -> str:
    date = day(draw, 1950, 2010)
    return draw.choice([written(date), f"{date:%Y-%m-%d}", f"{date:%Y.%m.%d}", f"{date:%Y/%m/%d}"])


def secret(draw: random.Random) -> str:
    return "".join(draw.choice("abcdefghkmnpqrstuvwxyz") for _ in range(4)) + draw.choice("!@#_") + digits(draw, 4)


VALUES: dict[str, tuple[Drawn, tuple[str, ...]]] = {
    "id_number": (
        id_number,
        (
            "我的身份证号是{}，麻烦核实一下。",
            "办理人证件号码：{}",
            "身份证{}已经过期了。",
            "请用{}这个证件号登记入住",
            "客户{}的资料已上传，请审核。",
        ),
    ),
    "phone": (
        mobile,
        (
            "我的电话{}，随时可以打。",
            "请联系王经理，手机：{}",
            "收件人电话为{}，放门口就行",
            "打{}没有人接",
            "有事发短信到{}，谢谢！",
            "{}是我本人的号码",
        ),
    ),
    "phone#": (landline, ("公司座机{}，转人事部。", "投诉热线：{}", "传真{}已收到", "预约请拨{}")),
    "card": (
        bank_card,
        (
            "请把款打到{}，工商银行。",
            "卡号：{}，户名同前",
            "我的银行卡{}被锁了怎么办",
            "退款退回尾号不对，应该是{}这张",
        ),
    ),
    "company_code": (company_code, ("统一社会信用代码：{}", "开票信息如下，税号{}，谢谢", "营业执照上写的是{}。")),
    "passport": (passport, ("护照号码{}，下周出境。", "我的护照是{}", "持护照{}的旅客请到三号柜台")),
    "plate": (plate, ("车牌{}停在消防通道了。", "我开的是{}，白色的", "{}违章三次", "登记车辆：{}，访客")),
    "wechat": (wechat, ("加我微信：{}，备注姓名。", "微信号是{}", "我微信{}，通过一下")),
    "qq": (qq, ("QQ：{}，常在线", "加QQ号{}进群", "我的扣扣是{}。")),
    "address": (address, ("快递寄到{}，谢谢。", "我住{}，麻烦上门。", "收货地址：{}", "他家在{}，离这不远")),
    "address#": (near_address, ("家住{}的李先生来电。", "地址：{}，靠近地铁站")),
    "email": (email, ("资料发到{}。", "邮箱：{}，抄送财务", "请用{}注册")),
    "url": (url, ("详情见{}，点进去看。", "商品链接 {} 打不开")),
    "ip": (ip, ("登录地址{}异常，请确认。", "服务器IP：{}，端口8080")),
    "birth_date": (born, ("出生日期：{}", "我生于{}，属马。", "孩子生日是{}，可以上学吗")),
    "birth_date#": (lambda draw: written(day(draw, 1950, 2010)), ("{}出生，汉族。",)),
    "secret": (secret, ("密码：{}，别告诉别人。", "初始密码是{}")),
}
NEAR: tuple[tuple[Drawn, tuple[str, ...]], ...] = (
    (wrong_id_number, ("系统提示证件号{}校验失败", "流水号{}查无此单")),
    (wrong_bank_card, ("卡号{}有误，请重新输入", "合同编号{}已归档")),
    (wrong_company_code, ("代码{}不存在，请检查",)),
    (lambda draw: digits(draw, 18), ("订单号{}已发货。", "运单{}在途中")),
    (lambda draw: "1" + draw.choice("3578") + digits(draw, 9), ("订单号{}，请尽快付款", "快递单号{}，已签收")),
    (lambda draw: "SF" + digits(draw, 13), ("顺丰{}到哪了？", "单号{}查一下")),
    (lambda draw: written(day(draw, 2018, 2024)), ("会议定于{}召开。", "保质期至{}", "{}发货的那批有问题")),
    (lambda draw: f"{day(draw, 2018, 2024):%Y-%m-%d %H:%M}", ("下单时间{}", "记录于{}，已处理")),
    (lambda draw: f"{draw.randrange(1, 99999999):,}", ("共计{}元。", "阅读量突破{}")),
    (
        lambda draw: f"{draw.randrange(1, 20)}.{draw.randrange(0, 30)}.{draw.randrange(0, 30)}.{draw.randrange(0, 99)}",
        ("升级到版本{}以后闪退", "软件版本 {} 发布"),
    ),
    (lambda draw: draw.choice(CITIES)[0] + draw.choice(ROADS), ("{}今天堵车严重。", "我在{}等你")),
    (lambda draw: draw.choice(["北京", "上海", "广州"]), ("{}有3号线和10号线。", "{}的房价又涨了", "我想去{}玩两天")),
    (lambda draw: digits(draw, 6), ("验证码{}，五分钟内有效。", "邮编{}对吗")),
    (lambda draw: digits(draw, draw.choice([8, 9])), ("工单{}已关闭", "型号{}没货了", "总人口{}人")),
    (lambda draw: f"{draw.randrange(10, 40)}-{draw.randrange(40, 99)}", ("年龄{}岁均可报名", "尺码{}都有货")),
    (lambda draw: "E" + digits(draw, 8), ("型号{}已停产", "零件{}缺货")),
    (lambda draw: draw.choice(["微信支付", "微信群", "QQ音乐", "微信小程序"]), ("用{}付款可以吗", "{}打不开了")),
    (lambda draw: draw.choice(["密码忘记了", "密码是什么", "密码不对"]), ("{}，怎么找回？",)),
    (lambda draw: f"{draw.choice('ABCDE')}{digits(draw, 3)}座", ("您的座位是{}。", "请到{}候车")),
    (
        lambda draw: f"{draw.randrange(6, 23)}:{draw.randrange(10, 59)}:{draw.randrange(10, 59)}",
        ("比赛成绩{}", "{}开始直播"),
    ),
)


def texts(seed: int = SEED, count: int = TEXTS) -> Iterator[dict[str, object]]:
    """Rows: two thirds with one or two entities, one third near-misses."""
    draw = random.Random(seed)
    kinds = list(VALUES)
    seen: set[str] = set()
    for number in itertools.count():
        if len(seen) == count:
            return
        parts: list[tuple[str, str, str]] = []
        if number % 3 == 2:
            make, forms = NEAR[number // 3 % len(NEAR)]
            parts.append(("", draw.choice(forms), make(draw)))
        else:
            first = kinds[(number // 3 * 2 + number % 3) % len(kinds)]
            for kind in [first] if draw.random() < 0.7 else [first, draw.choice(kinds)]:
                make, forms = VALUES[kind]
                parts.append((kind.rstrip("#"), draw.choice(forms), make(draw)))
        text, entities = "", []
        for kind, form, value in parts:
            text += "。" if text and text[-1] not in "。！？" else ""
            before, _, after = form.partition("{}")
            if kind:
                start = len(text) + len(before)
                entities.append({"type": kind, "start": start, "end": start + len(value)})
            text += before + value + after
        if text not in seen:
            seen.add(text)
            yield {"text": text, "entities": entities}


def main() -> None:
    for row in texts():
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
