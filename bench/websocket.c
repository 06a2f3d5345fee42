/* A closed-loop WebSocket client (RFC 6455): it loads a server from one thread, and prints the line that load.py reads.
 *
 *     websocket echo|broadcast text|binary SIZE CONNECTIONS SECONDS PORT TARGET http1|http2
 *
 * echo: each connection sends a message, waits until the whole of it has come back, and sends it again.
 * broadcast: the first connection sends a message, waits until every connection has got it, and sends it again.
 *
 * Over HTTP/2, each WebSocket is the only stream of its connection (RFC 8441), with the widest windows.
 *
 * All send the same message, masked once, so that the client's own work stays small. A connection compares the first
 * message that it gets byte by byte, and of the later ones the header; each has to be one frame. What arrives when the
 * time is up counts no more. Then all close as they should, so that the next server to be measured finds the core idle.
 *
 * `requests` are the messages received, p50 and p99 the microseconds from sending one to its last receiver. Errors:
 * `closed` too early, `wrong` frames, `timeout` for a message that was still on its way after half of the time.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, FIN = 0x80, MASKED = 0x80 };
/* Of HTTP/2 (RFC 9113): the size of a header, types of frames, settings, and the greatest payload by default. */
enum { FRAME_HEADER = 9, DATA = 0, HEADERS = 1, SETTINGS = 4, RST_STREAM = 3, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { ACK = 1, END_HEADERS = 4, INITIAL_WINDOW_SIZE = 4, FRAME_MAX = 16384, STATUS_200 = 0x88 };
enum { HEADER_MAX = 10, MASK = 4, CONTROL_MAX = 125, EVENTS = 256, LATENCIES = 1 << 20, GREETED_AT_ONCE = 64 };
enum { SECOND = 1000000, GOODBYE = SECOND / 2, ANSWER_SECONDS = 10 };

struct connection {
    int fd;
    bool leaving;
    struct trip *trip;
    uint64_t received;
    /* The frame of HTTP/2 being read: its header as far as it has come, then what is left of its payload. */
    uint8_t outer[FRAME_HEADER];
    size_t outer_size, outer_left;
    /* The frame being read: its header as far as it has come, then what is left of its payload. */
    uint8_t header[HEADER_MAX], control[CONTROL_MAX];
    size_t header_size;
    bool in_payload;
    uint64_t length, left;
    /* What is still to be written: at most a message, a pong and a close frame. */
    struct piece { const uint8_t *data; size_t size; } queue[3];
    int queued;
    bool pong_queued;
    uint8_t pong[FRAME_HEADER + 2 + MASK + CONTROL_MAX];
};

/* One message on its way from the first of some connections to all of them, again and again. */
struct trip {
    struct connection *first;
    unsigned receivers, awaited;
    uint64_t sent, since;
};

static struct connection *connections;
static struct trip *trips;
static unsigned connection_count, trip_count, open_count;
static int poller;

static uint8_t opcode, *payload, *frame, close_frame[FRAME_HEADER + 2 + MASK + 2], read_buffer[1 << 18];
static size_t payload_size, frame_size, close_size;
static bool http2;

static bool stopping;
static uint64_t now, messages, completed;
static uint32_t latencies[LATENCIES];
static unsigned closed, wrong, timeouts;

static uint64_t microseconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * SECOND + time.tv_nsec / 1000;
}

/* xorshift32: the same numbers in every run. */
static uint8_t random_byte(void)
{
    static uint32_t state = 2463534242;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state >> 24;
}

/* Write the header of a frame of HTTP/2; return its size. */
static size_t write_outer(uint8_t *out, size_t size, uint8_t kind, uint8_t flags, uint8_t stream)
{
    memcpy(out, (uint8_t[]){size >> 16, size >> 8, size, kind, flags, 0, 0, 0, stream}, FRAME_HEADER);
    return FRAME_HEADER;
}

/* Write a masked final frame; return its size (RFC 6455 section 5.2). */
static size_t write_inner(uint8_t *out, uint8_t code, const uint8_t *data, size_t size)
{
    int extended = size <= 125 ? 0 : size <= 0xffff ? 2 : 8;
    uint8_t *at = out, mask[MASK];
    *at++ = FIN | code;
    *at++ = MASKED | (extended == 0 ? size : extended == 2 ? 126 : 127);
    while (extended--)
        *at++ = size >> 8 * extended;
    for (int index = 0; index < MASK; index++)
        *at++ = mask[index] = random_byte();
    for (size_t index = 0; index < size; index++)
        *at++ = data[index] ^ mask[index % MASK];
    return at - out;
}

/* The same, over HTTP/2 in frames of DATA. */
static size_t write_frame(uint8_t *out, uint8_t code, const uint8_t *data, size_t size)
{
    if (!http2)
        return write_inner(out, code, data, size);
    size_t count = (HEADER_MAX + MASK + size) / FRAME_MAX + 1, written = 0;
    uint8_t *inner = out + count * FRAME_HEADER;
    for (size_t left = write_inner(inner, code, data, size), part; left; left -= part, inner += part) {
        part = left < FRAME_MAX ? left : FRAME_MAX;
        written += write_outer(out + written, part, DATA, 0, 1);
        memmove(out + written, inner, part);
        written += part;
    }
    return written;
}

static void leave(struct connection *connection)
{
    close(connection->fd);
    connection->fd = -1;
    open_count--;
}

static void fail(struct connection *connection, unsigned *kind)
{
    ++*kind;
    leave(connection);
}

/* The server has ended the connection. */
static void ended(struct connection *connection)
{
    if (connection->leaving)
        leave(connection);
    else
        fail(connection, &closed);
}

static void watch(struct connection *connection, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(poller, operation, connection->fd, &event))
        err(1, "epoll_ctl");
}

/* Write what is queued, as far as the socket takes it. */
static void flush(struct connection *connection)
{
    while (connection->queued) {
        struct piece *piece = connection->queue;
        ssize_t count = send(connection->fd, piece->data, piece->size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN)
            return ended(connection);
        if (count < (ssize_t)piece->size) {
            piece->data += count < 0 ? 0 : count;
            piece->size -= count < 0 ? 0 : count;
            return watch(connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
        }
        memmove(piece, piece + 1, --connection->queued * sizeof *piece);
    }
    connection->pong_queued = false;
}

static void enqueue(struct connection *connection, const uint8_t *data, size_t size)
{
    if (connection->fd < 0)
        return;
    connection->queue[connection->queued++] = (struct piece){data, size};
    if (connection->queued == 1)
        flush(connection);
}

static void start(struct trip *trip)
{
    trip->sent++;
    trip->awaited = trip->receivers;
    trip->since = now;
    enqueue(trip->first, frame, frame_size);
}

static void message_received(struct connection *connection)
{
    struct trip *trip = connection->trip;
    if (++connection->received != trip->sent)
        return fail(connection, &wrong);
    messages += !stopping;
    if (--trip->awaited)
        return;
    if (!stopping) {
        now = microseconds();
        uint64_t taken = now - trip->since;
        latencies[taken < LATENCIES ? taken : LATENCIES - 1]++;
        completed++;
        return start(trip);
    }
    for (unsigned index = 0; index < trip->receivers; index++) {
        trip->first[index].leaving = true;
        enqueue(&trip->first[index], close_frame, close_size);
    }
}

static void frame_received(struct connection *connection)
{
    uint8_t code = connection->header[0] & 0x0f;
    connection->in_payload = false;
    connection->header_size = 0;
    if (code == opcode) {
        message_received(connection);
    } else if (code == CLOSE) {
        ended(connection);
    } else if (code == PING && !connection->pong_queued && !connection->leaving) {
        connection->pong_queued = true;
        size_t size = write_frame(connection->pong, PONG, connection->control, connection->length);
        enqueue(connection, connection->pong, size);
    }
}

/* Take one more byte of a header; begin the payload when it was the last. */
static void take_header(struct connection *connection, uint8_t byte)
{
    uint8_t *header = connection->header;
    header[connection->header_size++] = byte;
    size_t extended = connection->header_size < 2 || header[1] < 126 ? 0 : header[1] == 126 ? 2 : 8;
    if (connection->header_size < 2 + extended)
        return;
    uint64_t length = extended ? 0 : header[1];
    for (size_t index = 0; index < extended; index++)
        length = length << 8 | header[2 + index];
    bool control = header[0] == (FIN | CLOSE) || header[0] == (FIN | PING) || header[0] == (FIN | PONG);
    if (control ? length > CONTROL_MAX : header[0] != (FIN | opcode) || length != payload_size)
        return fail(connection, &wrong);
    connection->length = connection->left = length;
    connection->in_payload = true;
    if (!length)
        frame_received(connection);
}

static void take_payload(struct connection *connection, const uint8_t *data, size_t size)
{
    size_t offset = connection->length - connection->left;
    if (connection->header[0] & CLOSE)
        memcpy(connection->control + offset, data, size);
    else if (!connection->received && memcmp(payload + offset, data, size))
        return fail(connection, &wrong);
    connection->left -= size;
    if (!connection->left)
        frame_received(connection);
}

static void take(struct connection *connection, const uint8_t *at, const uint8_t *stop)
{
    while (at < stop && connection->fd >= 0) {
        if (connection->in_payload) {
            size_t size = (uint64_t)(stop - at) < connection->left ? (uint64_t)(stop - at) : connection->left;
            take_payload(connection, at, size);
            at += size;
        } else {
            take_header(connection, *at++);
        }
    }
}

/* Take what the frames of DATA contain, and ignore the others, except those that end the stream or the connection. */
static void take_outer(struct connection *connection, const uint8_t *at, const uint8_t *stop)
{
    while (at < stop && connection->fd >= 0) {
        uint8_t *outer = connection->outer;
        if (connection->outer_size < FRAME_HEADER) {
            outer[connection->outer_size++] = *at++;
            if (connection->outer_size < FRAME_HEADER)
                continue;
            connection->outer_left = outer[0] << 16 | outer[1] << 8 | outer[2];
            if (outer[3] == RST_STREAM || outer[3] == GOAWAY)
                return ended(connection);
        }
        size_t size = (size_t)(stop - at) < connection->outer_left ? (size_t)(stop - at) : connection->outer_left;
        if (outer[3] == DATA)
            take(connection, at, at + size);
        at += size;
        connection->outer_left -= size;
        if (!connection->outer_left)
            connection->outer_size = 0;
    }
}

static void read_some(struct connection *connection)
{
    ssize_t count = recv(connection->fd, read_buffer, sizeof read_buffer, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN)
        return;
    if (count <= 0)
        return ended(connection);
    (http2 ? take_outer : take)(connection, read_buffer, read_buffer + count);
}

/* Handle what happens until the time `end`, or until no connection is left. */
static void run_until(uint64_t end)
{
    struct epoll_event events[EVENTS];
    for (; open_count && now < end; now = microseconds()) {
        int count = epoll_wait(poller, events, EVENTS, (end - now) / 1000 + 1);
        for (int index = 0; index < count; index++) {
            struct connection *connection = events[index].data.ptr;
            if (connection->fd >= 0 && events[index].events & EPOLLOUT) {
                watch(connection, EPOLL_CTL_MOD, EPOLLIN);
                flush(connection);
            }
            if (connection->fd >= 0 && events[index].events & ~EPOLLOUT)
                read_some(connection);
        }
    }
}

static size_t write_string(uint8_t *out, const char *text)
{
    *out = strlen(text); /* up to 126 */
    memcpy(out + 1, text, *out);
    return 1 + *out;
}

/* Begin a connection of HTTP/2, and ask for a WebSocket on its first stream. */
static void greet_http2(int fd, const char *target)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    static const uint8_t widest[] = {0x7f, 0xff, 0xff, 0xff}, rest[] = {0x7f, 0xff, 0, 0};
    uint8_t out[512], block[400], *at = block;
    *at++ = 0x02; /* :method */
    at += write_string(at, "CONNECT");
    *at++ = 0;
    at += write_string(at, ":protocol");
    at += write_string(at, "websocket");
    *at++ = 0x86; /* :scheme http */
    *at++ = 0x04; /* :path */
    at += write_string(at, target);
    *at++ = 0x01; /* :authority */
    at += write_string(at, "127.0.0.1");
    *at++ = 0;
    at += write_string(at, "sec-websocket-version");
    at += write_string(at, "13");
    size_t size = at - block;

    at = out;
    memcpy(at, preface, sizeof preface - 1);
    at += sizeof preface - 1;
    at += write_outer(at, 6, SETTINGS, 0, 0);
    *at++ = 0;
    *at++ = INITIAL_WINDOW_SIZE;
    memcpy(at, widest, sizeof widest);
    at += sizeof widest;
    at += write_outer(at, sizeof rest, WINDOW_UPDATE, 0, 0);
    memcpy(at, rest, sizeof rest);
    at += sizeof rest;
    at += write_outer(at, 0, SETTINGS, ACK, 0);
    at += write_outer(at, size, HEADERS, END_HEADERS, 1);
    memcpy(at, block, size);
    at += size;
    if (send(fd, out, at - out, MSG_NOSIGNAL) != at - out)
        err(1, "the start of HTTP/2");
}

/* Connect, and ask for the upgrade. */
static void greet(struct connection *connection, uint16_t port, const char *target)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        err(1, "connection %td", connection - connections + 1);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = ANSWER_SECONDS}, sizeof(struct timeval));
    if (http2)
        return greet_http2(fd, target);
    dprintf(fd,
            "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            target, port);
}

/* Read frames of HTTP/2 up to the answer. */
static void be_greeted_http2(struct connection *connection)
{
    uint8_t header[FRAME_HEADER], content[FRAME_MAX];
    do {
        size_t size = 0;
        if (recv(connection->fd, header, FRAME_HEADER, MSG_WAITALL) == FRAME_HEADER)
            size = header[0] << 16 | header[1] << 8 | header[2];
        else
            errx(1, "connection %td: no answer", connection - connections + 1);
        if (size > FRAME_MAX || (size && recv(connection->fd, content, size, MSG_WAITALL) != (ssize_t)size))
            errx(1, "connection %td: no whole answer", connection - connections + 1);
    } while (header[3] != HEADERS);
    if (content[0] != STATUS_200)
        errx(1, "connection %td: wrong answer: %#x", connection - connections + 1, content[0]);
}

/* Read the answer to the upgrade, after which the server is silent. */
static void be_greeted_http1(struct connection *connection)
{
    char answer[8192], *end;
    size_t size = 0;
    do {
        ssize_t count = recv(connection->fd, answer + size, sizeof answer - 1 - size, 0);
        if (count <= 0)
            errx(1, "connection %td: no answer to the upgrade", connection - connections + 1);
        size += count;
        answer[size] = 0;
    } while (!(end = strstr(answer, "\r\n\r\n")));
    if (strncmp(answer, "HTTP/1.1 101 ", 13) || end + 4 != answer + size)
        errx(1, "connection %td: wrong answer to the upgrade: %.40s", connection - connections + 1, answer);
}

static void be_greeted(struct connection *connection)
{
    (http2 ? be_greeted_http2 : be_greeted_http1)(connection);
    watch(connection, EPOLL_CTL_ADD, EPOLLIN);
}

static uint64_t percentile(double share)
{
    uint64_t counted = 0, latency = 0;
    while (latency < LATENCIES - 1 && (counted += latencies[latency]) <= share * completed)
        latency++;
    return completed ? latency : 0;
}

int main(int count, char **arguments)
{
    if (count != 9)
        errx(1, "usage: echo|broadcast text|binary SIZE CONNECTIONS SECONDS PORT TARGET http1|http2");
    http2 = !strcmp(arguments[8], "http2");
    bool broadcast = !strcmp(arguments[1], "broadcast");
    opcode = strcmp(arguments[2], "text") ? BINARY : TEXT;
    payload_size = strtoul(arguments[3], NULL, 10);
    connection_count = strtoul(arguments[4], NULL, 10);
    trip_count = broadcast ? 1 : connection_count;
    uint64_t duration = strtoull(arguments[5], NULL, 10) * SECOND;

    payload = malloc(payload_size);
    frame = malloc((FRAME_HEADER + HEADER_MAX + MASK + payload_size) * 2);
    connections = calloc(connection_count, sizeof *connections);
    trips = calloc(trip_count, sizeof *trips);
    poller = epoll_create1(0);
    if (!payload || !frame || !connections || !trips || poller < 0)
        err(1, "start");
    for (size_t index = 0; index < payload_size; index++)
        payload[index] = opcode == TEXT ? 'a' + random_byte() % 26 : random_byte();
    frame_size = write_frame(frame, opcode, payload, payload_size);
    close_size = write_frame(close_frame, CLOSE, (const uint8_t *)"\x03\xe8", 2);

    while (open_count < connection_count) {
        unsigned first = open_count;
        for (unsigned index = first; index < connection_count && index < first + GREETED_AT_ONCE; index++, open_count++)
            greet(&connections[index], strtoul(arguments[6], NULL, 10), arguments[7]);
        for (unsigned index = first; index < open_count; index++)
            be_greeted(&connections[index]);
    }
    for (unsigned index = 0; index < connection_count; index++)
        connections[index].trip = &trips[broadcast ? 0 : index];
    for (unsigned index = 0; index < trip_count; index++)
        trips[index] = (struct trip){.first = &connections[index], .receivers = connection_count / trip_count};

    uint64_t began = now = microseconds();
    for (unsigned index = 0; index < trip_count; index++)
        start(&trips[index]);
    run_until(began + duration);
    uint64_t taken = now - began;
    for (unsigned index = 0; index < trip_count; index++)
        timeouts += now - trips[index].since > duration / 2;
    stopping = true;
    run_until(now + GOODBYE);

    printf("bench requests=%ju microseconds=%ju bytes=%ju p50=%ju p99=%ju closed=%u wrong=%u timeout=%u\n", messages,
           taken, messages * payload_size, percentile(0.5), percentile(0.99), closed, wrong, timeouts);
}
