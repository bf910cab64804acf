"""Our own llama.cpp worker process, and the engine that talks to it."""
