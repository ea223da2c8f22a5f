"""Names with which a Chinese address or a number plate begins."""

from __future__ import annotations

from sixfold.text.lexicon.names import CHINESE_CITIES, CHINESE_PROVINCES

PLATES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
"""The provinces' one-character names that stand on plates."""
_MORE = [
    "嘉兴",
    "绍兴",
    "金华",
    "湖州",
    "台州",
    "常州",
    "南通",
    "徐州",
    "扬州",
    "镇江",
    "盐城",
    "泰州",
    "淮安",
    "中山",
    "惠州",
    "江门",
    "汕头",
    "湛江",
    "泉州",
    "漳州",
    "莆田",
    "芜湖",
    "蚌埠",
    "潍坊",
    "淄博",
    "济宁",
    "临沂",
    "威海",
    "唐山",
    "保定",
    "廊坊",
    "邯郸",
    "秦皇岛",
    "包头",
    "鞍山",
    "吉林",
    "大庆",
    "株洲",
    "湘潭",
    "衡阳",
    "岳阳",
    "宜昌",
    "襄阳",
    "荆州",
    "绵阳",
    "德阳",
    "乐山",
    "遵义",
    "大理",
    "丽江",
    "咸阳",
    "宝鸡",
    "柳州",
    "九江",
    "赣州",
    "新乡",
    "开封",
    "南阳",
]
PLACES = tuple(
    sorted({*CHINESE_PROVINCES, *CHINESE_CITIES, *_MORE} - {"台湾", "吉林"} | {"吉林省", "吉林市", "台湾省"})
)
"""Provinces and larger cities."""
