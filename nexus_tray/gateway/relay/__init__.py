"""Bytes in, bytes out: HTTP/1 read strictly, judged, written anew, both ways."""
