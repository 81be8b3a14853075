"""One job from its creation to its end, and how it looks to people and programs. Nothing about several jobs together."""
