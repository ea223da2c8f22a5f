"""Usual words that say how somebody feels about something. No file is read.

Short on purpose, and chosen here: the plainest words of praise and blame, whose exchange most often changes what a
text is judged to say. Small letters; English forms are listed where people write them.
"""

from __future__ import annotations


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


POSITIVE = _listed(
    """
    good great excellent amazing awesome wonderful fantastic terrific superb brilliant outstanding perfect perfectly
    beautiful beautifully lovely nice best better love loved loves loving lovable like liked likes enjoy enjoyed
    enjoyable enjoying exciting excited lively uplifting worthwhile cheerful happy happily glad pleased pleasant
    pleasure delight delighted delightful satisfied satisfying satisfactory recommend recommended recommends favorite
    favourite fun funny hilarious entertaining interesting fascinating compelling engaging charming impressive
    impressed refreshing thrilling moving touching memorable remarkable masterful clever smart fresh worth worthy
    helpful useful friendly polite kind caring comfortable clean easy fast reliable strong gain gains gained profit
    profitable growth grow grew rise rose improve improved improvement win won winner success successful thanks thank
    grateful
    很好 好 好看 好吃 好用 好评 不错 棒 很棒 优秀 出色 完美 精彩 美丽 漂亮 喜欢 喜爱 爱 热爱 满意 高兴 开心 快乐 愉快
    幸福 推荐 值得 超值 实惠 舒服 舒适 方便 干净 热情 周到 贴心 友好 亲切 有趣 有意思 好笑 感动 感谢 谢谢 赞 点赞 惊喜
    实用 耐用 清晰 流畅 经典 成功 胜利 增长 上涨 盈利 提高 改善 划算 便宜 给力 美味 可口 新鲜
    """
)
NEGATIVE = _listed(
    """
    bad worse worst terrible horrible awful dreadful poor poorly disgusting disappointing disappointed disappointment
    disappoints boring bored bore dull tedious tiresome lame stupid silly ridiculous pointless useless worthless waste
    wasted wasting hate hated hates hating dislike disliked annoying annoyed irritating frustrating frustrated angry
    sad sadly unhappy upset ugly dirty filthy rude unfriendly slow broken break broke defective faulty fail failed
    fails failure problem problems issue issues complaint complain complained refund return returned cheap overpriced
    expensive uncomfortable noisy cold fake fraud scam mess messy predictable shallow flat bland weak lack lacks
    lacking unfortunately regret avoid loss losses lost lose decline declined fall fell drop dropped worsened wrong
    mistake error crash crashed
    差 很差 太差 坏 糟 糟糕 差劲 差评 烂 垃圾 恶心 讨厌 厌恶 恨 失望 后悔 难看 难吃 难用 难受 难过 伤心 生气 愤怒 郁闷
    无聊 枯燥 乏味 无趣 浪费 坑 坑人 骗 骗人 欺骗 假 假货 破 破旧 破损 脏 臭 吵 慢 贵 太贵 昂贵 冷漠 粗糙 劣质 故障
    问题 投诉 退货 退款 失败 亏损 下跌 下降 减少 错误 可惜 遗憾 痛苦 麻烦 缺点 不足 不好 不满 不行 没用
    """
)
SENTIMENT = POSITIVE | NEGATIVE
