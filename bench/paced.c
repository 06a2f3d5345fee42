/* An HTTP/1.1 client that asks at a fixed rate, whatever the server does: latency without coordinated omission.
 *
 *     paced CONNECTIONS RATE SECONDS PORT TARGET
 *
 * Request number k is due k / RATE seconds after the start, on connection k % CONNECTIONS. Where that connection still
 * waits for an answer, the request is sent as soon as it has it; its latency counts from when it was due. What was due
 * and has no answer when the time is up counts with the time that it has waited so far. The client never sleeps, so that
 * it is never late itself: it takes a core.
 *
 * It prints the line that load.py reads: `requests` are the answers, p50, p99 and p999 microseconds. Errors: connections
 * `closed`, answers with another `status` than 200, and those that are `wrong`: without a content-length, or too large.
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

enum { SECOND = 1000000, EVENTS = 256, ANSWER_MAX = 1 << 14 };

struct connection {
    int fd;
    bool waiting;
    /* The request that is under way, or else the next one. */
    uint64_t number;
    size_t size;
    char answer[ANSWER_MAX + 1];
};

static struct connection *connections;
static uint64_t connection_count, rate, began, received;
static char request[4096];
static size_t request_size;
static uint32_t *latencies;
static size_t latency_count;
static unsigned closed, status, wrong;

/* Nanoseconds: at 20,000 requests a second one is due every 50 microseconds. */
static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static uint64_t due(uint64_t number)
{
    return began + number * 1000000000 / rate;
}

static void count(uint64_t number, uint64_t answered)
{
    uint64_t taken = (answered - due(number)) / 1000;
    latencies[latency_count++] = taken < UINT32_MAX ? taken : UINT32_MAX;
}

static void fail(struct connection *connection, unsigned *kind)
{
    ++*kind;
    close(connection->fd);
    connection->fd = -1;
}

static void ask(struct connection *connection)
{
    if (send(connection->fd, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size)
        return fail(connection, &closed);
    connection->waiting = true;
    connection->size = 0;
}

/* Read what has come; once that is a whole answer, ask for what has become due meanwhile. */
static void read_some(struct connection *connection)
{
    char *answer = connection->answer;
    ssize_t got = recv(connection->fd, answer + connection->size, ANSWER_MAX - connection->size, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        return fail(connection, &closed);
    connection->size += got;
    answer[connection->size] = 0;
    char *end = strstr(answer, "\r\n\r\n");
    if (!end && connection->size < ANSWER_MAX)
        return;
    if (strncmp(answer, "HTTP/1.1 200", 12))
        return fail(connection, &status);
    char *length = end ? strcasestr(answer, "\r\ncontent-length:") : NULL;
    if (!length || length > end)
        return fail(connection, &wrong);
    size_t whole = end + 4 - answer + strtoul(length + 17, NULL, 10);
    if (connection->size < whole && whole <= ANSWER_MAX)
        return;
    if (connection->size != whole || !connection->waiting)
        return fail(connection, &wrong);
    uint64_t answered = now();
    count(connection->number, answered);
    received += whole;
    connection->waiting = false;
    connection->number += connection_count;
    if (due(connection->number) <= answered)
        ask(connection);
}

static void open_one(struct connection *connection, uint64_t number, int poller, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->number = number;
    connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connection->fd < 0 || connect(connection->fd, (struct sockaddr *)&address, sizeof address))
        err(1, "connection %ju", number + 1);
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event))
        err(1, "epoll_ctl");
}

static int ascending(const void *a, const void *b)
{
    uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;
    return (first > second) - (first < second);
}

static uint32_t percentile(double share)
{
    return latency_count ? latencies[(size_t)(share * (latency_count - 1))] : 0;
}

int main(int argument_count, char **arguments)
{
    if (argument_count != 6)
        errx(1, "usage: CONNECTIONS RATE SECONDS PORT TARGET");
    connection_count = strtoull(arguments[1], NULL, 10);
    rate = strtoull(arguments[2], NULL, 10);
    uint64_t seconds = strtoull(arguments[3], NULL, 10);
    uint16_t port = strtoul(arguments[4], NULL, 10);
    request_size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", arguments[5], port);
    connections = calloc(connection_count, sizeof *connections);
    latencies = calloc(rate * seconds + connection_count, sizeof *latencies);
    int poller = epoll_create1(0);
    if (!connections || !latencies || poller < 0 || request_size >= sizeof request)
        err(1, "start");
    for (uint64_t index = 0; index < connection_count; index++)
        open_one(&connections[index], index, poller, port);

    began = now();
    uint64_t end = began + seconds * 1000000000, time;
    struct epoll_event events[EVENTS];
    for (uint64_t next = 0; (time = now()) < end;) {
        for (; due(next) <= time && due(next) < end; next++) {
            struct connection *connection = &connections[next % connection_count];
            if (connection->fd >= 0 && !connection->waiting && connection->number == next)
                ask(connection);
        }
        int ready = epoll_wait(poller, events, EVENTS, 0);
        for (int index = 0; index < ready; index++) {
            struct connection *connection = events[index].data.ptr;
            if (connection->fd >= 0)
                read_some(connection);
        }
    }
    size_t answers = latency_count;
    for (uint64_t index = 0; index < connection_count; index++)
        for (uint64_t number = connections[index].number; due(number) < end; number += connection_count)
            count(number, end);
    qsort(latencies, latency_count, sizeof *latencies, ascending);
    printf("bench requests=%zu microseconds=%ju bytes=%ju p50=%u p99=%u p999=%u closed=%u status=%u wrong=%u\n", answers,
           seconds * SECOND, received, percentile(0.5), percentile(0.99), percentile(0.999), closed, status, wrong);
}
