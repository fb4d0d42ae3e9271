// A board behind its serial line: the design runs cycle by cycle, stdin is what the host sends, stdout what it gets.
// stdin has pairs of bytes: 0 and a byte to send, 1 and clocks of reset, 2 and a byte without stop bit, 3 and
// thousands of clocks to let pass. Without anything to do, the clock stands still, so that time is the design's alone.
#include <poll.h>
#include <unistd.h>

#include <cstdlib>

#include "design.cpp"

static cxxrtl_design::p_uart__top top;
static int divisor;
static bool rx = true, reset = false;

// The host's receiver: one bit at a time, from the middle of the start bit on.
static int waited = -1, received = 0;
static unsigned shift = 0;
static long quiet = 0;

static void cycle() {
    top.p_rx.set<bool>(rx);
    top.p_rst.set<bool>(reset);
    top.p_clk.set<bool>(true);
    top.step();
    top.p_clk.set<bool>(false);
    top.step();
    const bool tx = top.p_tx.get<bool>();
    quiet++;
    if (waited < 0) {
        if (!tx) waited = divisor / 2, received = 0;
        return;
    }
    quiet = 0;
    if (waited-- > 0) return;
    waited = divisor - 1;
    if (received == 0 && tx) {
        waited = -1;  // a glitch
    } else if (received >= 1 && received <= 8) {
        shift = shift >> 1 | tx << 7;
    } else if (received == 9) {
        waited = -1;
        const unsigned char byte = tx ? shift : 0;
        if (write(1, &byte, 1) != 1) exit(1);
    }
    received++;
}

static void run(long cycles) {
    while (cycles-- > 0) cycle();
}

static void send(unsigned byte, bool stop) {
    const unsigned bits = byte << 1 | stop << 9;
    for (int n = 0; n < 10; n++) {
        rx = bits >> n & 1;
        run(divisor);
    }
    rx = true;
}

int main(int, char **argv) {
    divisor = atoi(argv[1]);
    const long patience = atol(argv[2]);
    reset = true;
    run(4);
    reset = false;
    for (;;) {
        pollfd input = {0, POLLIN, 0};
        if (poll(&input, 1, quiet < patience ? 0 : -1) == 0) {
            run(64);
            continue;
        }
        unsigned char pair[2];
        for (int have = 0; have < 2;) {
            const long got = read(0, pair + have, 2 - have);
            if (got <= 0) return 0;
            have += got;
        }
        quiet = 0;
        switch (pair[0]) {
        case 0: send(pair[1], true); break;
        case 1: reset = true; run(pair[1]); reset = false; break;
        case 2: send(pair[1], false); break;
        default: run(1000L * pair[1]);
        }
    }
}
