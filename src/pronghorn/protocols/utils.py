"""What a scope and a transport say of a connection, and the error of a `send()` whose client is gone."""

from pronghorn.addresses import get_client_addr as get_client_addr
from pronghorn.addresses import get_local_addr as get_local_addr
from pronghorn.addresses import get_path_with_query_string as get_path_with_query_string
from pronghorn.addresses import get_remote_addr as get_remote_addr
from pronghorn.addresses import is_ssl as is_ssl
from pronghorn.errors import ClientDisconnected as ClientDisconnected
