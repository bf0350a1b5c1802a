/* What Rust cannot call of DPDK, because it is inline or a macro, behind plain functions: one call a burst.
 * Results below zero are negated error numbers. */
#include <errno.h>
#include <net/if.h>
#include <semaphore.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_alarm.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define BURST_LEN_MAX 64
#define RSS_KEY_LEN_MAX 64
#define RSS_TABLE_LEN_MAX 2048
#define RX_CHECKSUMS (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)
#define TX_CHECKSUMS (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM)
#define RSS_TCP (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP)

struct hpb_dpdk_info {
    uint8_t hardware[RTE_ETHER_ADDR_LEN];
    uint16_t queues_max;
    uint16_t rss_key_len; /* 0: it does not spread TCP by its hash */
    uint8_t checksum_rx;
    uint8_t checksum_tx;
};
struct hpb_dpdk_received {
    const uint8_t *data; /* of the first segment */
    uint32_t len;        /* of all segments */
    uint16_t segments;
    uint8_t checksum;    /* of TCP: 0 unknown, 1 good, 2 bad */
};
struct hpb_dpdk_outgoing {
    const uint8_t *data;
    uint16_t len;
    uint16_t l2_len;
    uint16_t l3_len;
    uint16_t checksum; /* of TCP: 0 whole, 4 to be completed over IPv4, 6 over IPv6 */
};
_Static_assert(sizeof(struct hpb_dpdk_info) == 12, "as in lib.rs");
_Static_assert(sizeof(struct hpb_dpdk_received) == 16, "as in lib.rs");
_Static_assert(sizeof(struct hpb_dpdk_outgoing) == 16, "as in lib.rs");

int hpb_dpdk_init(int count, char **arguments) { return rte_eal_init(count, arguments) < 0 ? -rte_errno : 0; }

int hpb_dpdk_thread_register(void) { return rte_thread_register() < 0 ? -rte_errno : 0; }

void hpb_dpdk_thread_unregister(void) { rte_thread_unregister(); }

void *hpb_dpdk_pool_create(const char *name, uint32_t count, uint32_t cache, uint16_t room)
{
    return rte_pktmbuf_pool_create(name, count, cache, 0, room + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
}

uint32_t hpb_dpdk_pool_available(const void *pool) { return rte_mempool_avail_count(pool); }

void hpb_dpdk_pool_free(void *pool) { rte_mempool_free(pool); }

/* The first port from `from` on that no other driver has taken for itself, or -1; `name` has room for 64 bytes. */
int hpb_dpdk_next(uint16_t from, char *name)
{
    uint64_t port = rte_eth_find_next_owned_by(from, RTE_ETH_DEV_NO_OWNER);
    return port < RTE_MAX_ETHPORTS && rte_eth_dev_get_name_by_port(port, name) == 0 ? (int)port : -1;
}

int hpb_dpdk_info(uint16_t port, struct hpb_dpdk_info *info)
{
    struct rte_eth_dev_info device;
    struct rte_ether_addr address;
    int result = rte_eth_dev_info_get(port, &device);
    if (result == 0)
        result = rte_eth_macaddr_get(port, &address);
    if (result != 0)
        return result;
    memcpy(info->hardware, address.addr_bytes, sizeof info->hardware);
    info->queues_max = RTE_MIN(device.max_rx_queues, device.max_tx_queues);
    info->rss_key_len = 0;
    if (device.flow_type_rss_offloads & RSS_TCP)
        info->rss_key_len = device.hash_key_size ? RTE_MIN(device.hash_key_size, RSS_KEY_LEN_MAX) : 40;
    info->checksum_rx = (device.rx_offload_capa & RX_CHECKSUMS) == RX_CHECKSUMS;
    info->checksum_tx = (device.tx_offload_capa & TX_CHECKSUMS) == TX_CHECKSUMS;
    return 0;
}

/* Configures `queues` receive and send queues with every checksum offload that is there, and starts the port. A key of
 * no length asks for no hash. `step` names what failed. */
int hpb_dpdk_start(uint16_t port, uint16_t queues, uint16_t descriptors, void *pool, const uint8_t *key,
                   uint8_t key_len, const char **step)
{
    struct rte_eth_dev_info device;
    struct rte_eth_conf wanted;
    uint16_t rx = descriptors, tx = descriptors, queue;
    int socket = rte_eth_dev_socket_id(port), result;

    *step = "ask it what it can do";
    if ((result = rte_eth_dev_info_get(port, &device)) != 0)
        return result;
    memset(&wanted, 0, sizeof wanted);
    if ((device.rx_offload_capa & RX_CHECKSUMS) == RX_CHECKSUMS)
        wanted.rxmode.offloads = RX_CHECKSUMS;
    if ((device.tx_offload_capa & TX_CHECKSUMS) == TX_CHECKSUMS)
        wanted.txmode.offloads = TX_CHECKSUMS;
    if (key_len > 0) {
        wanted.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        wanted.rx_adv_conf.rss_conf.rss_key = (uint8_t *)(uintptr_t)key;
        wanted.rx_adv_conf.rss_conf.rss_key_len = key_len;
        wanted.rx_adv_conf.rss_conf.rss_hf = device.flow_type_rss_offloads & RSS_TCP;
    }
    /* With it, a change of the link is told, and looking at the link costs no call of the device. */
    wanted.intr_conf.lsc = (*device.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
    *step = "configure it";
    if ((result = rte_eth_dev_configure(port, queues, queues, &wanted)) != 0)
        return result;
    if ((result = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx, &tx)) != 0)
        return result;
    for (queue = 0; queue < queues; queue++) {
        *step = "set up a receive queue";
        if ((result = rte_eth_rx_queue_setup(port, queue, rx, socket, NULL, pool)) != 0)
            return result;
        *step = "set up a send queue";
        if ((result = rte_eth_tx_queue_setup(port, queue, tx, socket, NULL)) != 0)
            return result;
    }
    *step = "start it";
    if ((result = rte_eth_dev_start(port)) != 0)
        return result;
    (void)rte_eth_allmulticast_enable(port); /* for neighbour discovery; a device without filters knows no such call */
    return 0;
}

static int follows(uint16_t port, const uint8_t *key, uint8_t key_len)
{
    uint8_t used[RSS_KEY_LEN_MAX] = {0};
    struct rte_eth_rss_conf hash = {.rss_key = used, .rss_key_len = key_len};
    return rte_eth_dev_rss_hash_conf_get(port, &hash) == 0 && memcmp(used, key, key_len) == 0 &&
           (hash.rss_hf & RSS_TCP) == RSS_TCP;
}

/* The table's length if the started port hashes all TCP by this very key and now spreads entry `i` to queue
 * `i % queues`, else 0. */
uint16_t hpb_dpdk_rss(uint16_t port, uint16_t queues, const uint8_t *key, uint8_t key_len)
{
    struct rte_eth_rss_reta_entry64 table[RSS_TABLE_LEN_MAX / RTE_ETH_RETA_GROUP_SIZE];
    struct rte_eth_dev_info device;
    uint16_t entry;

    if (rte_eth_dev_info_get(port, &device) != 0 || device.reta_size == 0 || device.reta_size > RSS_TABLE_LEN_MAX)
        return 0;
    if (!follows(port, key, key_len)) {
        /* Some drivers take the key only here. */
        struct rte_eth_rss_conf wanted = {.rss_key = (uint8_t *)(uintptr_t)key, .rss_key_len = key_len,
                                          .rss_hf = device.flow_type_rss_offloads & RSS_TCP};
        if (rte_eth_dev_rss_hash_update(port, &wanted) != 0 || !follows(port, key, key_len))
            return 0;
    }
    memset(table, 0, sizeof table);
    for (entry = 0; entry < device.reta_size; entry++) {
        struct rte_eth_rss_reta_entry64 *group = &table[entry / RTE_ETH_RETA_GROUP_SIZE];
        group->mask |= RTE_BIT64(entry % RTE_ETH_RETA_GROUP_SIZE);
        group->reta[entry % RTE_ETH_RETA_GROUP_SIZE] = entry % queues;
    }
    return rte_eth_dev_rss_reta_update(port, table, device.reta_size) == 0 ? device.reta_size : 0;
}

/* A started port's MTU: its own, or the smaller one of the kernel's interface that it stands on. */
uint16_t hpb_dpdk_mtu(uint16_t port)
{
    struct rte_eth_dev_info device;
    struct ifreq request;
    uint16_t mtu = RTE_ETHER_MTU;
    int handle;

    (void)rte_eth_dev_get_mtu(port, &mtu);
    memset(&request, 0, sizeof request);
    if (rte_eth_dev_info_get(port, &device) != 0 || device.if_index == 0 ||
        if_indextoname(device.if_index, request.ifr_name) == NULL)
        return mtu;
    if ((handle = socket(AF_INET, SOCK_DGRAM, 0)) < 0)
        return mtu;
    if (ioctl(handle, SIOCGIFMTU, &request) == 0 && request.ifr_mtu > 0 && request.ifr_mtu < mtu)
        mtu = request.ifr_mtu;
    close(handle);
    return mtu;
}

int hpb_dpdk_link(uint16_t port)
{
    struct rte_eth_link link;
    return rte_eth_link_get_nowait(port, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

/* Frames that the device lost for want of a descriptor or a buffer. */
uint64_t hpb_dpdk_missed(uint16_t port)
{
    struct rte_eth_stats stats;
    return rte_eth_stats_get(port, &stats) == 0 ? stats.imissed + stats.rx_nombuf : 0;
}

struct closing {
    uint16_t port;
    sem_t done;
};

static void stop_and_close(uint16_t port)
{
    (void)rte_eth_dev_stop(port);
    (void)rte_eth_dev_close(port);
}

static void close_by_alarm(void *argument)
{
    struct closing *closing = argument;
    stop_and_close(closing->port);
    sem_post(&closing->done);
}

/* Closes the port on DPDK's interrupt thread, where alarms go off; false if there is none to be had. */
static int close_on_interrupt_thread(uint16_t port)
{
    struct closing closing = {.port = port};
    int is_set = sem_init(&closing.done, 0, 0) == 0 && rte_eal_alarm_set(1, close_by_alarm, &closing) == 0;
    while (is_set && sem_wait(&closing.done) != 0 && errno == EINTR)
        ;
    return is_set;
}

/* `detach` removes the device that bears the port as well; only for a device of one port. */
void hpb_dpdk_close(uint16_t port, int detach)
{
    struct rte_eth_dev_info device;
    int known = rte_eth_dev_info_get(port, &device) == 0;
    /* When the peer goes, this driver takes the connection down on the interrupt thread, without a lock: closing it
     * elsewhere at that moment frees the same memory a second time. */
    int is_memif = known && strcmp(device.driver_name, "net_memif") == 0;
    if (!is_memif || !close_on_interrupt_thread(port))
        stop_and_close(port);
    if (detach && known)
        (void)rte_dev_remove(device.device);
}

void *hpb_dpdk_ring_create(const char *name, uint32_t depth)
{
    return rte_ring_create(name, depth, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
}

int hpb_dpdk_ring_port(const char *name, void *rx, void *tx)
{
    struct rte_ring *from = rx, *to = tx;
    int port = rte_eth_from_rings(name, &from, 1, &to, 1, 0);
    return port < 0 ? -rte_errno : port;
}

/* Frees the ring and the buffers in it. */
void hpb_dpdk_ring_free(void *ring)
{
    void *mbuf;
    while (rte_ring_dequeue(ring, &mbuf) == 0)
        rte_pktmbuf_free(mbuf);
    rte_ring_free(ring);
}

uint16_t hpb_dpdk_receive(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, struct hpb_dpdk_received *received,
                          uint16_t count)
{
    uint16_t got = rte_eth_rx_burst(port, queue, mbufs, count), i;
    for (i = 0; i < got; i++) {
        uint64_t checksum = mbufs[i]->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
        received[i].data = rte_pktmbuf_mtod(mbufs[i], const uint8_t *);
        rte_prefetch0(received[i].data);
        received[i].len = mbufs[i]->pkt_len;
        received[i].segments = mbufs[i]->nb_segs;
        /* "None" says that the field is unfinished and the data intact: the frame never left its host. */
        received[i].checksum = checksum == RTE_MBUF_F_RX_L4_CKSUM_GOOD || checksum == RTE_MBUF_F_RX_L4_CKSUM_NONE ? 1
                               : checksum == RTE_MBUF_F_RX_L4_CKSUM_BAD                                           ? 2
                                                                                                                  : 0;
    }
    return got;
}

/* Copies the first `len` bytes of a frame of several segments; false if it has fewer. */
int hpb_dpdk_gather(const struct rte_mbuf *mbuf, uint8_t *to, uint32_t len)
{
    const void *bytes = rte_pktmbuf_read(mbuf, 0, len, to);
    if (bytes != NULL && bytes != to)
        memcpy(to, bytes, len);
    return bytes != NULL;
}

void hpb_dpdk_release(struct rte_mbuf **mbufs, uint16_t count) { rte_pktmbuf_free_bulk(mbufs, count); }

/* Copies frames into buffers and sends them; returns how many were taken. `refused` tells that the one after them can
 * never be sent: it is longer than a buffer, or the driver calls its offload malformed. */
uint16_t hpb_dpdk_send(uint16_t port, uint16_t queue, void *pool, const struct hpb_dpdk_outgoing *frames,
                       uint16_t count, uint8_t *refused)
{
    struct rte_mbuf *mbufs[BURST_LEN_MAX];
    uint16_t ready, sent, i;
    int offloads = 0;

    *refused = 0;
    count = RTE_MIN(count, BURST_LEN_MAX);
    if (rte_pktmbuf_alloc_bulk(pool, mbufs, count) != 0)
        return 0;
    for (ready = 0; ready < count; ready++) {
        const struct hpb_dpdk_outgoing *frame = &frames[ready];
        struct rte_mbuf *mbuf = mbufs[ready];
        char *to = rte_pktmbuf_append(mbuf, frame->len);
        if (to == NULL)
            break;
        memcpy(to, frame->data, frame->len);
        if (frame->checksum != 0) {
            offloads = 1;
            mbuf->l2_len = frame->l2_len;
            mbuf->l3_len = frame->l3_len;
            mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM | (frame->checksum == 4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
        }
    }
    if (offloads)
        ready = rte_eth_tx_prepare(port, queue, mbufs, ready);
    sent = rte_eth_tx_burst(port, queue, mbufs, ready);
    *refused = sent == ready && ready < count;
    for (i = sent; i < count; i++)
        rte_pktmbuf_free(mbufs[i]);
    return sent;
}
