"""Usual names of people and places, for exchanging one for another. No file is read.

Short on purpose. English names that are also words (Mark, Grace, Young) or could be either sex are left out, and so are
places that are words or names (Turkey, Jordan, Georgia): a name that is missed costs less than a word that is taken for
one. Chinese people are invented: a usual surname and a usual given name.
"""

from __future__ import annotations


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name.replace("_", " ") for name in text.split())


FEMALE = _listed(
    """
    Mary Patricia Linda Barbara Elizabeth Jennifer Maria Susan Margaret Dorothy Lisa Nancy Karen Betty Helen
    Sandra Donna Carol Ruth Sharon Michelle Laura Sarah Kimberly Deborah Jessica Shirley Cynthia Angela Melissa
    Brenda Amy Anna Rebecca Kathleen Pamela Martha Debra Amanda Stephanie Carolyn Christine Marie Janet
    Catherine Frances Ann Alice Julie Heather Teresa Gloria Evelyn Cheryl Mildred Katherine Emily Nicole Judith
    """
)
MALE = _listed(
    """
    James John Robert Michael William David Richard Charles Joseph Thomas Christopher Daniel Paul Donald George
    Kenneth Steven Edward Brian Ronald Anthony Kevin Jason Matthew Gary Timothy Jose Larry Jeffrey Eric
    Stephen Andrew Raymond Gregory Joshua Jerry Dennis Walter Peter Harold Douglas Henry Carl Arthur Ryan Roger
    Juan Jonathan Albert Justin Gerald Keith Samuel Ralph Nicholas Benjamin Bruce Adam
    """
)
SURNAMES = _listed(
    """
    Smith Johnson Williams Jones Davis Miller Wilson Moore Taylor Anderson Harris Martin Thompson Garcia
    Martinez Robinson Clark Rodriguez Lewis Lee Allen Hernandez Wright Lopez Scott Adams Gonzalez Nelson
    Carter Mitchell Perez Roberts Turner Phillips Campbell Parker Evans Edwards Collins Sanchez Morris Rogers
    Murphy Bailey Rivera Richardson Peterson Ramirez Sanders Bennett Hughes Flores Washington Simmons
    Gonzales Alexander
    """
)
CITIES = _listed(
    """
    London Paris Berlin Madrid Rome Vienna Amsterdam Brussels Dublin Lisbon Prague Warsaw Budapest Copenhagen
    Stockholm Oslo Helsinki Athens Moscow Istanbul Cairo Nairobi Lagos Johannesburg Mumbai Delhi Bangkok Jakarta
    Manila Singapore Tokyo Osaka Kyoto Seoul Beijing Shanghai Taipei Sydney Melbourne Toronto Montreal Vancouver
    Chicago Houston Philadelphia Dallas Seattle Denver Boston Miami Atlanta Detroit Baltimore Pittsburgh
    Manchester Liverpool Glasgow Edinburgh Munich Hamburg Frankfurt Barcelona Milan Venice Zurich Geneva
    New_York Los_Angeles San_Francisco San_Diego Las_Vegas New_Orleans Hong_Kong New_Delhi Mexico_City
    Buenos_Aires Rio_de_Janeiro São_Paulo Cape_Town Tel_Aviv Kuala_Lumpur Salt_Lake_City
    """
)
COUNTRIES = _listed(
    """
    China France Germany Italy Spain Portugal Ireland Netherlands Belgium Austria Switzerland Sweden Norway Denmark
    Finland Poland Hungary Romania Bulgaria Greece Russia Ukraine Egypt Morocco Nigeria Kenya Ethiopia Israel
    Iran Iraq India Pakistan Bangladesh Thailand Vietnam Malaysia Indonesia Philippines Japan Australia Canada
    Mexico Brazil Argentina Chile Peru Colombia Venezuela Cuba South_Africa South_Korea Saudi_Arabia New_Zealand
    Sri_Lanka Costa_Rica Czech_Republic
    """
)
CHINESE_SURNAMES = _listed(
    """
    王 李 张 刘 陈 杨 黄 赵 吴 周 徐 孙 马 朱 胡 郭 何 林 高 罗 郑 梁 谢 宋 唐 许 韩 邓 冯 曹 彭 曾 肖 田 董 潘
    袁 蔡 蒋 余 于 杜 叶 程 魏 苏 吕 丁 任 卢 姚 沈 钟 姜 崔 谭 陆 范 汪 廖 石 金 韦 贾 夏 付 方 邹 熊 白 孟 秦
    邱 侯 江 尹 薛 闫 段 雷 龙 黎 史 陶 贺 毛 郝 顾 龚 邵 万 覃 武 钱 戴 严 莫 孔 向 常 欧阳 司马 诸葛 上官 皇甫
    """
)
CHINESE_PEOPLE = _listed(
    """
    王芳 李娜 张敏 刘静 陈丽 杨艳 黄娟 赵霞 吴燕 周玲 王伟 李强 张磊 刘洋 陈勇 杨军 黄杰 赵涛 吴超 周平 王秀英
    李桂英 张玉兰 刘秀兰 陈桂兰 杨淑珍 黄丽华 赵秀珍 吴玉梅 周桂芳 王建国 李建华 张志强 刘建军 陈国强 杨志明
    黄文杰 赵海涛 吴晓明 周志刚
    """
)
CHINESE_CITIES = _listed(
    """
    北京 上海 天津 重庆 广州 深圳 杭州 南京 苏州 成都 武汉 西安 长沙 郑州 济南 青岛 沈阳 大连 哈尔滨 长春 石家庄
    太原 合肥 南昌 福州 厦门 南宁 昆明 贵阳 海口 兰州 西宁 银川 乌鲁木齐 拉萨 呼和浩特 宁波 无锡 佛山 东莞 温州
    珠海 烟台 洛阳 桂林 三亚 香港 澳门 台北 高雄
    """
)
CHINESE_PROVINCES = _listed(
    """
    广东 江苏 山东 浙江 河南 四川 湖北 福建 湖南 安徽 河北 陕西 江西 辽宁 云南 广西 山西 贵州 内蒙古 新疆 吉林
    黑龙江 甘肃 海南 宁夏 青海 西藏 台湾
    """
)
CHINESE_COUNTRIES = _listed(
    """
    美国 英国 法国 德国 日本 韩国 俄罗斯 加拿大 澳大利亚 意大利 西班牙 葡萄牙 荷兰 比利时 瑞士 瑞典 挪威 丹麦
    芬兰 波兰 奥地利 希腊 土耳其 埃及 南非 尼日利亚 肯尼亚 印度 巴基斯坦 泰国 越南 马来西亚 新加坡 印度尼西亚
    菲律宾 新西兰 墨西哥 巴西 阿根廷 智利 秘鲁 古巴
    """
)
