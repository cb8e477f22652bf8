"""The Responses and the Messages API in the words of the chat API, and where each part stood.

``recognition`` tells which API a request, an answer or a path is of;
``responses`` and ``messages`` make the chat request and the chat answer of each,
``streams`` puts streamed answers together.
"""

from k2lab.apis.known import answer_as_chat, request_as_chat
from k2lab.apis.recognition import PATHS, api_of, api_of_answer, api_of_path, api_of_request
from k2lab.apis.records import API_NAMES, APIS, PATH_OF, Api, AsChat, OriginalPlaces, Remark
from k2lab.apis.streams import MessageAssembly, ResponseAssembly, api_of_event, assembly_of

__all__ = [
    "APIS",
    "API_NAMES",
    "PATHS",
    "PATH_OF",
    "Api",
    "AsChat",
    "MessageAssembly",
    "OriginalPlaces",
    "Remark",
    "ResponseAssembly",
    "answer_as_chat",
    "api_of",
    "api_of_answer",
    "api_of_event",
    "api_of_path",
    "api_of_request",
    "assembly_of",
    "request_as_chat",
]
