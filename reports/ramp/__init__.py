"""How far up 2.0 can be asked: steps of load, judged until a gate breaks."""
