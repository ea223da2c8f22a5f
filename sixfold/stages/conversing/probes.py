"""Contradiction probes: a user states a fact, talks of something else, and asks about it.

Of three answers one fits, and two say something else in the same words. A model that follows the conversation finds
the fitting one likeliest; one that does not is right a third of the time. People and places are invented.

Most probes ask for a word that stands in the conversation once, and a model that finds it again is right. Those about a
``correction`` and a ``yes or no`` need more: words of their wrong answers stand there too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Probe:
    """A short conversation and three answers to its last turn.

    Attributes:
        language: ``en`` or ``zh``.
        about: what kind of fact it is.
        turns: user and assistant in turn; the user's first and last.
        fits: the answer that agrees with what was said.
        contradicts: two that do not.
    """

    language: str
    about: str
    turns: tuple[str, ...]
    fits: str
    contradicts: tuple[str, str]


_ENGLISH = (
    (
        "name",
        (
            "Hi, my name is Tobias.",
            "Hello Tobias, how can I help you?",
            "How long does a letter take?",
            "Two or three days.",
            "Thanks. Do you still know my name?",
        ),
        "Your name is Tobias.",
        ("Your name is Marcus.", "Your name is Oliver."),
    ),
    (
        "name",
        (
            "I'm Greta, and my sister is Paula.",
            "Nice to meet you, Greta.",
            "We want to learn to swim.",
            "There is a course for beginners on Saturdays.",
            "Good. What was my sister's name again?",
        ),
        "Your sister's name is Paula.",
        ("Your sister's name is Greta.", "Your sister's name is Laura."),
    ),
    (
        "name",
        (
            "Our new dog is called Biscuit.",
            "What a lovely name!",
            "He eats a lot.",
            "Young dogs do. Feed him three times a day.",
            "What is my dog called?",
        ),
        "Your dog is called Biscuit.",
        ("Your dog is called Pepper.", "Your dog is called Bruno."),
    ),
    (
        "name",
        (
            "Please write the invoice to Harlow, not to Barlow.",
            "I will write it to Harlow.",
            "When will it arrive?",
            "By Thursday.",
            "To which name will you write it?",
        ),
        "I will write it to Harlow.",
        ("I will write it to Barlow.", "I will write it to Marlow."),
    ),
    (
        "number",
        (
            "There will be seven of us for dinner.",
            "Seven guests, noted.",
            "Do you have fish?",
            "Yes, we have trout and salmon.",
            "For how many people is the table?",
        ),
        "The table is for seven people.",
        ("The table is for four people.", "The table is for nine people."),
    ),
    (
        "number",
        (
            "My order number is 5528.",
            "Thank you, I see order 5528.",
            "It has not come yet.",
            "It left our house yesterday.",
            "Which order number did I give you?",
        ),
        "You gave me 5528.",
        ("You gave me 5582.", "You gave me 2558."),
    ),
    (
        "number",
        (
            "I can spend 300 pounds on a bicycle.",
            "For 300 pounds there are good used ones.",
            "Do you sell lights too?",
            "Yes, from 15 pounds.",
            "How much did I say I can spend on a bicycle?",
        ),
        "You can spend 300 pounds on it.",
        ("You can spend 150 pounds on it.", "You can spend 500 pounds on it."),
    ),
    (
        "number",
        (
            "My daughter is eleven years old.",
            "Eleven is a fine age.",
            "She likes to read about ships.",
            "Then take her to the harbour museum.",
            "How old is my daughter?",
        ),
        "Your daughter is eleven years old.",
        ("Your daughter is six years old.", "Your daughter is fifteen years old."),
    ),
    (
        "number",
        (
            "I take two tablets in the morning and one in the evening.",
            "Noted: two in the morning, one in the evening.",
            "May I drink coffee with them?",
            "Wait half an hour.",
            "How many tablets do I take in the morning?",
        ),
        "You take two tablets in the morning.",
        ("You take one tablet in the morning.", "You take three tablets in the morning."),
    ),
    (
        "day",
        (
            "I am free on Wednesday only.",
            "Then let us meet on Wednesday.",
            "Where is your office?",
            "In the old mill, second floor.",
            "On which day do we meet?",
        ),
        "We meet on Wednesday.",
        ("We meet on Monday.", "We meet on Friday."),
    ),
    (
        "day",
        (
            "My birthday is on the third of May.",
            "I will remember it.",
            "I would like a cake with cherries.",
            "A cherry cake is a good choice.",
            "When is my birthday?",
        ),
        "Your birthday is on the third of May.",
        ("Your birthday is on the third of June.", "Your birthday is on the ninth of May."),
    ),
    (
        "day",
        (
            "The train leaves at 9:40.",
            "Then be there at half past nine.",
            "Can I buy food on it?",
            "Yes, there is a small bar.",
            "When does my train leave?",
        ),
        "Your train leaves at 9:40.",
        ("Your train leaves at 8:40.", "Your train leaves at 9:14."),
    ),
    (
        "day",
        (
            "We move into the flat in October.",
            "October is a good month to move.",
            "It has three rooms.",
            "Then you will need about forty boxes.",
            "In which month do we move?",
        ),
        "You move in October.",
        ("You move in August.", "You move in December."),
    ),
    (
        "day",
        (
            "The shop is closed on Tuesdays.",
            "I did not know that, thank you.",
            "They sell good bread.",
            "I should try it some day.",
            "On which day is the shop closed?",
        ),
        "The shop is closed on Tuesdays.",
        ("The shop is closed on Sundays.", "The shop is closed on Thursdays."),
    ),
    (
        "place",
        (
            "I live in Dunmere, near the lake.",
            "That sounds lovely.",
            "It rains a lot, though.",
            "A good coat helps.",
            "In which town do I live?",
        ),
        "You live in Dunmere.",
        ("You live in Ashford Hill.", "You live in Castlebrook."),
    ),
    (
        "place",
        (
            "I left my umbrella in the library.",
            "I am sorry to hear that.",
            "It is a blue one.",
            "I will ask whether it was found.",
            "Where did I leave my umbrella?",
        ),
        "You left it in the library.",
        ("You left it in the station.", "You left it in the school."),
    ),
    (
        "place",
        (
            "Please bring the parcel to the back door.",
            "To the back door, of course.",
            "It may be heavy.",
            "Two of us will carry it.",
            "To which door do you bring it?",
        ),
        "We bring it to the back door.",
        ("We bring it to the front door.", "We bring it to the garage door."),
    ),
    (
        "place",
        (
            "My brother works in a hospital.",
            "That must be hard work.",
            "He often has the night shift.",
            "I hope he sleeps well by day.",
            "Where does my brother work?",
        ),
        "Your brother works in a hospital.",
        ("Your brother works in a bakery.", "Your brother works in a bank."),
    ),
    (
        "preference",
        (
            "I don't eat meat.",
            "Good to know: no meat.",
            "What can I cook tonight?",
            "How about a soup of beans?",
            "Do I eat meat?",
        ),
        "No, you don't eat meat.",
        ("Yes, you eat meat.", "Yes, you eat meat every day."),
    ),
    (
        "preference",
        (
            "I like tea, but I can't stand coffee.",
            "Then tea it is.",
            "Is there some cake as well?",
            "There is an apple cake.",
            "Which drink can't I stand?",
        ),
        "You can't stand coffee.",
        ("You can't stand tea.", "You can't stand milk."),
    ),
    (
        "preference",
        (
            "Please write to me by e-mail, never by phone.",
            "By e-mail only, noted.",
            "I am often in meetings.",
            "I understand.",
            "How should you reach me?",
        ),
        "I should reach you by e-mail.",
        ("I should reach you by phone.", "I should reach you by letter."),
    ),
    (
        "preference",
        (
            "My favourite colour is green.",
            "Green is a calm colour.",
            "I want to paint the kitchen.",
            "Then take a washable paint.",
            "What is my favourite colour?",
        ),
        "Your favourite colour is green.",
        ("Your favourite colour is red.", "Your favourite colour is blue."),
    ),
    (
        "preference",
        (
            "I'd like a seat by the window.",
            "A window seat, gladly.",
            "How long is the flight?",
            "About three hours.",
            "Which seat did I ask for?",
        ),
        "You asked for a seat by the window.",
        ("You asked for a seat by the aisle.", "You asked for a seat in the middle."),
    ),
    (
        "preference",
        (
            "I am afraid of dogs.",
            "Many people are.",
            "We look for a walk without hills.",
            "The path along the river is flat.",
            "Which animal am I afraid of?",
        ),
        "You are afraid of dogs.",
        ("You are afraid of cats.", "You are afraid of horses."),
    ),
    (
        "correction",
        (
            "The meeting is at ten. No, sorry, at eleven.",
            "At eleven, then.",
            "Will there be lunch?",
            "Yes, sandwiches.",
            "When is the meeting?",
        ),
        "The meeting is at eleven.",
        ("The meeting is at ten.", "The meeting is at twelve."),
    ),
    (
        "correction",
        (
            "I need five chairs.",
            "Five chairs, noted.",
            "Wait, make it eight.",
            "Eight chairs, then.",
            "How many chairs do I need?",
        ),
        "You need eight chairs.",
        ("You need five chairs.", "You need three chairs."),
    ),
    (
        "correction",
        (
            "Send it to Mill Lane 4.",
            "To Mill Lane 4, gladly.",
            "Sorry, I meant Mill Lane 14.",
            "I have changed it.",
            "To which house do you send it?",
        ),
        "I send it to Mill Lane 14.",
        ("I send it to Mill Lane 4.", "I send it to Mill Lane 41."),
    ),
    (
        "correction",
        (
            "My car is black.",
            "A black car, noted.",
            "Not quite: the new one is white.",
            "Thank you, then it is white.",
            "What colour is my new car?",
        ),
        "Your new car is white.",
        ("Your new car is black.", "Your new car is red."),
    ),
    (
        "correction",
        (
            "We arrive on Saturday.",
            "I have written down Saturday.",
            "The plan has changed, we arrive on Sunday.",
            "Sunday it is.",
            "When do we arrive?",
        ),
        "You arrive on Sunday.",
        ("You arrive on Saturday.", "You arrive on Friday."),
    ),
    (
        "correction",
        (
            "I said I have two sons, but that was wrong: I have two daughters.",
            "Two daughters, I see.",
            "They play the piano.",
            "How nice.",
            "Do I have sons or daughters?",
        ),
        "You have two daughters.",
        ("You have two sons.", "You have a son and a daughter."),
    ),
    (
        "said before",
        (
            "What does the ticket cost?",
            "It costs 12 pounds.",
            "And is the museum open today?",
            "Yes, until six.",
            "What did you say the ticket costs?",
        ),
        "It costs 12 pounds.",
        ("It costs 20 pounds.", "It costs 7 pounds."),
    ),
    (
        "said before",
        (
            "Can I bring the shoes back?",
            "Yes, within thirty days.",
            "They are a bit small.",
            "Then take the next size.",
            "How long can I bring them back?",
        ),
        "You can bring them back within thirty days.",
        ("You can bring them back within ten days.", "You can't bring them back."),
    ),
    (
        "said before",
        (
            "Which bus goes to the zoo?",
            "Line 36 goes to the zoo.",
            "Is it far?",
            "About twenty minutes.",
            "Which line was it?",
        ),
        "It was line 36.",
        ("It was line 63.", "It was line 16."),
    ),
    (
        "said before",
        (
            "What should I read on the beach?",
            "A short novel, perhaps.",
            "I would rather have poems.",
            "Poems are fine as well.",
            "What did you suggest first?",
        ),
        "I suggested a short novel first.",
        ("I suggested poems first.", "I suggested a cookbook first."),
    ),
    (
        "yes or no",
        (
            "I have never been to the sea.",
            "Then you should go some day.",
            "I like mountains.",
            "They are beautiful too.",
            "Have I been to the sea?",
        ),
        "No, you have never been to the sea.",
        ("Yes, you have been to the sea.", "Yes, you go to the sea every summer."),
    ),
    (
        "yes or no",
        (
            "I passed the exam last week!",
            "Congratulations!",
            "Now I need a rest.",
            "You have earned it.",
            "Did I pass the exam?",
        ),
        "Yes, you passed the exam.",
        ("No, you failed the exam.", "No, you have not taken the exam yet."),
    ),
    (
        "yes or no",
        (
            "The heating still does not work.",
            "I will send somebody.",
            "The water is fine.",
            "Good to hear.",
            "Does my heating work?",
        ),
        "No, your heating does not work.",
        ("Yes, your heating works.", "Yes, your heating works, but the water does not."),
    ),
    (
        "work",
        (
            "I am a carpenter.",
            "A fine trade.",
            "My knee hurts in the evening.",
            "Put something soft under it at work.",
            "What is my job?",
        ),
        "You are a carpenter.",
        ("You are a teacher.", "You are a driver."),
    ),
    (
        "work",
        (
            "My mother was a nurse and my father a baker.",
            "Then somebody was always up early.",
            "That's true.",
            "Did you like the bread?",
            "Very much. What was my father's job?",
        ),
        "Your father was a baker.",
        ("Your father was a nurse.", "Your father was a farmer."),
    ),
    (
        "plan",
        (
            "We go to the mountains, not to the sea, this year.",
            "The mountains are lovely in summer.",
            "What should we pack?",
            "Good shoes and a warm coat.",
            "Where do we go this year?",
        ),
        "You go to the mountains this year.",
        ("You go to the sea this year.", "You stay at home this year."),
    ),
    (
        "plan",
        (
            "I want to learn Greek next year.",
            "A beautiful language.",
            "I have time in the evenings.",
            "Half an hour a day is enough.",
            "Which language do I want to learn?",
        ),
        "You want to learn Greek.",
        ("You want to learn Spanish.", "You want to learn Danish."),
    ),
    (
        "plan",
        (
            "I will pay in cash.",
            "Cash is fine.",
            "Can you wrap it as a present?",
            "Gladly.",
            "How will I pay?",
        ),
        "You will pay in cash.",
        ("You will pay by card.", "You will pay by cheque."),
    ),
)

_CHINESE = (
    (
        "name",
        (
            "你好，我叫林小舟。",
            "你好，林小舟，请问需要什么帮助？",
            "寄一封信要几天？",
            "一般两三天。",
            "谢谢。你还记得我叫什么吗？",
        ),
        "你叫林小舟。",
        ("你叫林小丹。", "你叫陈小舟。"),
    ),
    (
        "name",
        (
            "我叫周雨，我姐姐叫周晴。",
            "认识你很高兴，周雨。",
            "我们想学游泳。",
            "周六有初学班。",
            "好的。我姐姐叫什么名字？",
        ),
        "你姐姐叫周晴。",
        ("你姐姐叫周雨。", "你姐姐叫周雪。"),
    ),
    (
        "name",
        ("我家的小狗叫豆豆。", "这个名字真可爱。", "它吃得很多。", "小狗都这样，一天喂三次吧。", "我的狗叫什么？"),
        "你的狗叫豆豆。",
        ("你的狗叫毛毛。", "你的狗叫球球。"),
    ),
    (
        "name",
        (
            "发票请开给姓江的，不是姓姜的。",
            "好的，开给姓江的。",
            "什么时候能到？",
            "星期四之前。",
            "发票开给姓什么的？",
        ),
        "开给姓江的。",
        ("开给姓姜的。", "开给姓蒋的。"),
    ),
    (
        "number",
        ("今晚我们七个人吃饭。", "好的，七位。", "有鱼吗？", "有鲈鱼和三文鱼。", "我订的是几个人的桌子？"),
        "你订的是七个人的桌子。",
        ("你订的是四个人的桌子。", "你订的是九个人的桌子。"),
    ),
    (
        "number",
        ("我的订单号是5528。", "谢谢，我看到订单5528了。", "东西还没到。", "昨天已经发出了。", "我的订单号是多少？"),
        "你的订单号是5528。",
        ("你的订单号是5582。", "你的订单号是2558。"),
    ),
    (
        "number",
        (
            "我想花三百元买一辆自行车。",
            "三百元可以买到不错的二手车。",
            "你们也卖车灯吗？",
            "卖，十五元起。",
            "我打算花多少钱买自行车？",
        ),
        "你打算花三百元。",
        ("你打算花一百五十元。", "你打算花五百元。"),
    ),
    (
        "number",
        (
            "我女儿今年十一岁。",
            "十一岁正是好年纪。",
            "她喜欢看关于船的书。",
            "可以带她去港口博物馆。",
            "我女儿多大了？",
        ),
        "你女儿十一岁。",
        ("你女儿六岁。", "你女儿十五岁。"),
    ),
    (
        "number",
        (
            "我早上吃两片药，晚上吃一片。",
            "记下了，早上两片，晚上一片。",
            "可以同时喝咖啡吗？",
            "最好等半个小时。",
            "我早上吃几片药？",
        ),
        "你早上吃两片药。",
        ("你早上吃一片药。", "你早上吃三片药。"),
    ),
    (
        "day",
        ("我只有星期三有空。", "那我们星期三见。", "你们的办公室在哪里？", "在老磨坊的二楼。", "我们哪一天见面？"),
        "我们星期三见面。",
        ("我们星期一见面。", "我们星期五见面。"),
    ),
    (
        "day",
        ("我的生日是五月三号。", "我会记住的。", "我想要一个樱桃蛋糕。", "樱桃蛋糕很好吃。", "我的生日是哪一天？"),
        "你的生日是五月三号。",
        ("你的生日是六月三号。", "你的生日是五月九号。"),
    ),
    (
        "day",
        ("我的火车九点四十开。", "那九点半要到车站。", "车上能买吃的吗？", "能，有一个小餐吧。", "我的火车几点开？"),
        "你的火车九点四十开。",
        ("你的火车八点四十开。", "你的火车九点十四开。"),
    ),
    (
        "day",
        ("我们十月搬家。", "十月搬家天气正好。", "新家有三个房间。", "那大概需要四十个箱子。", "我们几月搬家？"),
        "你们十月搬家。",
        ("你们八月搬家。", "你们十二月搬家。"),
    ),
    (
        "day",
        (
            "那家店星期二不开门。",
            "我还不知道，谢谢。",
            "他们的面包很好吃。",
            "改天我也去尝尝。",
            "那家店星期几不开门？",
        ),
        "那家店星期二不开门。",
        ("那家店星期日不开门。", "那家店星期四不开门。"),
    ),
    (
        "place",
        ("我住在青溪镇，离湖很近。", "听起来很不错。", "不过经常下雨。", "带一把伞就好。", "我住在哪个镇？"),
        "你住在青溪镇。",
        ("你住在白石镇。", "你住在柳河镇。"),
    ),
    (
        "place",
        ("我把雨伞忘在图书馆了。", "真可惜。", "是一把蓝色的伞。", "我去问问有没有人捡到。", "我把雨伞忘在哪里了？"),
        "你把雨伞忘在图书馆了。",
        ("你把雨伞忘在车站了。", "你把雨伞忘在学校了。"),
    ),
    (
        "place",
        ("请把包裹送到后门。", "好的，送到后门。", "可能有点重。", "我们两个人一起搬。", "包裹送到哪个门？"),
        "送到后门。",
        ("送到前门。", "送到侧门。"),
    ),
    (
        "place",
        ("我哥哥在医院上班。", "那一定很辛苦。", "他常常上夜班。", "希望他白天睡得好。", "我哥哥在哪里上班？"),
        "你哥哥在医院上班。",
        ("你哥哥在学校上班。", "你哥哥在银行上班。"),
    ),
    (
        "preference",
        ("我不吃肉。", "好的，不放肉。", "今晚可以做什么菜？", "来一个豆腐汤怎么样？", "我吃肉吗？"),
        "你不吃肉。",
        ("你吃肉。", "你天天吃肉。"),
    ),
    (
        "preference",
        ("我喜欢喝茶，受不了咖啡。", "那就喝茶。", "有蛋糕吗？", "有苹果蛋糕。", "我受不了哪种饮料？"),
        "你受不了咖啡。",
        ("你受不了茶。", "你受不了牛奶。"),
    ),
    (
        "preference",
        ("请用邮件联系我，不要打电话。", "好的，只用邮件。", "我经常开会。", "明白了。", "你们该怎么联系我？"),
        "我们用邮件联系你。",
        ("我们用电话联系你。", "我们用短信联系你。"),
    ),
    (
        "preference",
        ("我最喜欢的颜色是绿色。", "绿色让人安静。", "我想粉刷厨房。", "那就用可以擦洗的漆。", "我最喜欢什么颜色？"),
        "你最喜欢绿色。",
        ("你最喜欢红色。", "你最喜欢蓝色。"),
    ),
    (
        "preference",
        ("我想要靠窗的座位。", "好的，靠窗。", "要飞多久？", "大约三个小时。", "我要的是什么座位？"),
        "你要的是靠窗的座位。",
        ("你要的是靠过道的座位。", "你要的是中间的座位。"),
    ),
    (
        "preference",
        ("我怕狗。", "很多人都怕。", "我们想找一条平路散步。", "河边的路很平。", "我怕什么动物？"),
        "你怕狗。",
        ("你怕猫。", "你怕马。"),
    ),
    (
        "correction",
        ("会议十点开始。不对，是十一点。", "好的，十一点。", "有午饭吗？", "有三明治。", "会议几点开始？"),
        "会议十一点开始。",
        ("会议十点开始。", "会议十二点开始。"),
    ),
    (
        "correction",
        ("我要五把椅子。", "五把椅子，记下了。", "等等，改成八把。", "好的，八把。", "我要几把椅子？"),
        "你要八把椅子。",
        ("你要五把椅子。", "你要三把椅子。"),
    ),
    (
        "correction",
        ("请寄到磨坊路4号。", "好的，磨坊路4号。", "不好意思，应该是14号。", "已经改好了。", "寄到磨坊路几号？"),
        "寄到磨坊路14号。",
        ("寄到磨坊路4号。", "寄到磨坊路41号。"),
    ),
    (
        "correction",
        (
            "我的车是黑色的。",
            "黑色的车，记下了。",
            "不对，新车是白色的。",
            "谢谢，那就是白色的。",
            "我的新车是什么颜色？",
        ),
        "你的新车是白色的。",
        ("你的新车是黑色的。", "你的新车是红色的。"),
    ),
    (
        "correction",
        ("我们星期六到。", "记下了，星期六。", "计划变了，我们星期日到。", "好的，星期日。", "我们哪一天到？"),
        "你们星期日到。",
        ("你们星期六到。", "你们星期五到。"),
    ),
    (
        "correction",
        (
            "我刚才说有两个儿子，说错了，是两个女儿。",
            "明白，两个女儿。",
            "她们在学钢琴。",
            "真好。",
            "我有儿子还是女儿？",
        ),
        "你有两个女儿。",
        ("你有两个儿子。", "你有一个儿子和一个女儿。"),
    ),
    (
        "said before",
        ("门票多少钱？", "门票十二元。", "博物馆今天开门吗？", "开到六点。", "你刚才说门票多少钱？"),
        "门票十二元。",
        ("门票二十元。", "门票七元。"),
    ),
    (
        "said before",
        ("鞋子可以退吗？", "三十天之内可以退。", "有点小。", "那就换大一号。", "几天之内可以退？"),
        "三十天之内可以退。",
        ("十天之内可以退。", "鞋子不可以退。"),
    ),
    (
        "said before",
        ("去动物园坐几路车？", "坐36路。", "远吗？", "大约二十分钟。", "刚才说的是几路车？"),
        "是36路。",
        ("是63路。", "是16路。"),
    ),
    (
        "said before",
        ("去海边看什么书好？", "看一本短篇小说吧。", "我更想看诗。", "诗也很好。", "你一开始推荐的是什么？"),
        "我一开始推荐的是短篇小说。",
        ("我一开始推荐的是诗。", "我一开始推荐的是菜谱。"),
    ),
    (
        "yes or no",
        ("我从来没有去过海边。", "那以后一定要去一次。", "我喜欢山。", "山也很美。", "我去过海边吗？"),
        "你没有去过海边。",
        ("你去过海边。", "你每年夏天都去海边。"),
    ),
    (
        "yes or no",
        ("我上周通过考试了！", "恭喜你！", "现在我要休息一下。", "你该好好休息。", "我通过考试了吗？"),
        "你通过考试了。",
        ("你没有通过考试。", "你还没有参加考试。"),
    ),
    (
        "yes or no",
        ("暖气还是坏的。", "我派人去看看。", "水没有问题。", "那就好。", "我家的暖气好了吗？"),
        "暖气还没有好。",
        ("暖气已经好了。", "暖气好了，水有问题。"),
    ),
    (
        "work",
        ("我是木匠。", "这是一门好手艺。", "晚上膝盖疼。", "干活时垫一块软垫。", "我是做什么的？"),
        "你是木匠。",
        ("你是老师。", "你是司机。"),
    ),
    (
        "work",
        (
            "我妈妈是护士，爸爸是面包师。",
            "那家里总有人起得早。",
            "是啊。",
            "面包好吃吗？",
            "很好吃。我爸爸是做什么的？",
        ),
        "你爸爸是面包师。",
        ("你爸爸是护士。", "你爸爸是农民。"),
    ),
    (
        "plan",
        (
            "今年我们去山里，不去海边。",
            "夏天的山里很舒服。",
            "该带什么东西？",
            "带好鞋子和厚外套。",
            "今年我们去哪里？",
        ),
        "今年你们去山里。",
        ("今年你们去海边。", "今年你们待在家里。"),
    ),
    (
        "plan",
        ("明年我想学希腊语。", "很美的语言。", "我晚上有时间。", "每天半小时就够了。", "我想学哪种语言？"),
        "你想学希腊语。",
        ("你想学西班牙语。", "你想学丹麦语。"),
    ),
    (
        "plan",
        ("我付现金。", "现金可以。", "能包成礼物吗？", "当然可以。", "我怎么付钱？"),
        "你付现金。",
        ("你刷卡。", "你扫码付款。"),
    ),
)

PROBES = tuple(
    Probe(language, about, turns, fits, contradicts)
    for language, probes in (("en", _ENGLISH), ("zh", _CHINESE))
    for about, turns, fits, contradicts in probes
)
