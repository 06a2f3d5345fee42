"""The addresses of a connection, from its scope or transport, and the error of `send()` after a disconnect."""

from pronghorn.errors import ClientDisconnected as ClientDisconnected
from pronghorn.listen.addresses import get_client_addr as get_client_addr
from pronghorn.listen.addresses import get_local_addr as get_local_addr
from pronghorn.listen.addresses import get_path_with_query_string as get_path_with_query_string
from pronghorn.listen.addresses import get_remote_addr as get_remote_addr
from pronghorn.listen.addresses import is_ssl as is_ssl
