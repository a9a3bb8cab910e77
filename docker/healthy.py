"""``healthy.py URL``: exits 0 where a GET answers 200. The images have no curl."""

import sys
import urllib.error
import urllib.request

try:
    with urllib.request.urlopen(sys.argv[1], timeout=8) as answer:
        sys.exit(0 if answer.status == 200 else 1)
except (OSError, urllib.error.HTTPError) as error:
    print(error)
    sys.exit(1)
