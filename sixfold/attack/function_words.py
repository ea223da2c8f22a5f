"""Words that carry grammar rather than content, in English and Chinese: attacks leave them as they are.

The lists are short on purpose. The word list ``stop-words`` has ``good``, ``great`` and 好 among its 2,050 words: an
attack that may not touch those is no test of a sentiment model.
"""

from __future__ import annotations


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENGLISH = _listed(
    """
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself
    it its itself they them their theirs themselves
    what which who whom this that these those when where why how
    am is are was were be been being have has had having do does did doing can will just should
    a an the all any both each few more most other some such same own no nor not only so than too very
    and but if or because as until while
    of at by for with about against between into through during before after above below to from up down in out on
    off over under again further then once here there now
    you're you've you'll you'd she's it's that'll should've
    don't aren't couldn't didn't doesn't hadn't hasn't haven't isn't mightn't mustn't needn't shan't shouldn't wasn't
    weren't won't wouldn't
    don aren couldn didn doesn hadn hasn haven isn ma mightn mustn needn shan shouldn wasn weren won wouldn ain
    d ll m o re s t ve y
    """
)
"""The closed classes of English, with what is left of contractions that were cut in two: the 179 words of NLTK's list,
which the recipes of TextAttack leave as they are too."""

CHINESE = _listed(
    """
    我 我们 咱们 俺 你 你们 您 他 他们 她 她们 它 它们 自己 大家 人家 别人
    这 那 这个 那个 这些 那些 这样 那样 这么 那么 这里 那里 这儿 那儿 此 其 其他 其它 各 每 某 该
    什么 怎么 怎样 怎么样 哪 哪里 哪儿 哪个 哪些 谁 几 多少 为什么 如何 何
    的 地 得 了 着 过 吗 呢 吧 啊 呀 哦 嘛 啦 哈 哎 嗯 么 们 所 之
    是 有 在 会 能 要 可以 可能 应该 应 需要 将 把 被 给 让 使 叫
    和 与 及 以及 或 或者 但 但是 可是 不过 然而 而 而且 并 并且 因为 所以 因此 由于 如果 要是
    虽然 尽管 即使 只要 只有 无论
    从 到 向 往 对 对于 关于 按 按照 根据 以 于 由 自 跟 同 比 为 为了 除了 当 离 用
    就 才 都 也 还 又 再 只 却 便 很 太 更 最 非常 比较 已 已经 曾 曾经 正在 刚 一直 总是 常常
    不 没 没有 别 未 无 非
    上 下 里 中 内 外 前 后 间 时 个 一个 一些 一下 一点 一 两 些 次 位
    """
)
"""Pronouns, particles, auxiliaries, conjunctions, prepositions, adverbs of degree and time, measure words."""

WORDS = ENGLISH | CHINESE
