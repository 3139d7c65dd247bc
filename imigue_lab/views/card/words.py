"""What a score of a run is for, and what it does not say about a person."""

INTENDED = {
    "emotion": "Research: whether pictures of a press interview tell if the player had just won or"
    " lost, and how such models come to their answer.",
    "gesture": "Research: telling micro-gestures of iMiGUE's classes apart in clips whose start and"
    " end are known, and how such models come to their answer.",
}
INTENDED["baseline"] = INTENDED["fusion"] = INTENDED["gesture"]

LIMITS = {
    "emotion": (
        "The answer is the outcome of a match, not a feeling: nobody asked the people how they"
        " felt, and some winners are sad. A probability here says nothing about the emotion,"
        " mood, honesty, health or character of a person.",
        "The people of iMiGUE are tennis players in press interviews, filmed by broadcasters; other"
        " people, cultures, occasions, cameras and illnesses that change the face are not there.",
        "Parts share no subject unless a remark above says so; of someone seen in training the"
        " model may know the person instead of the outcome.",
        "Context holds the room, the clothes and the sponsors' wall. What the model rests on is"
        " to be looked at (notebook 07), not assumed.",
    ),
    "gesture": (
        "A class names a movement, not a reason: a hand at the neck is stress in some people,"
        " habit or an itch in others. An answer here says nothing about the emotion, honesty,"
        " health or character of a person.",
        "Clips are cut by annotators: a model scored on them has not been shown to find gestures"
        " in a running video, nor to leave other movements alone.",
        "The classes are far from equally common, and a top-1 score is mostly that of the common"
        " ones; look at the mean over classes and at the table of confusions.",
        "The people of iMiGUE are tennis players in press interviews, seated, filmed from the"
        " front; others sit, gesture and are filmed in other ways.",
    ),
}
LIMITS["baseline"] = LIMITS["fusion"] = LIMITS["gesture"]

NOT_FOR = (
    "Not for decisions about a person: hiring, lending, policing, border control, schools,"
    " insurance, diagnosis, lie detection, or watching people at work. In the European Union"
    " inferring emotions of people at work or in schools is forbidden (Regulation 2024/1689,"
    " article 5), with few exceptions. Not for anyone who has not agreed to be looked at so."
)
