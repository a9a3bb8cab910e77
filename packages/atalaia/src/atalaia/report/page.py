from pathlib import Path
def write_page(path, story, summary):
    Path(path).write_text("stub")
