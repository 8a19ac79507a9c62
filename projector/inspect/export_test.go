package inspect

const MostOthers = mostOthers
