// Drives the RTL shell through batches of samples of 3 beats, with random and with stubborn back-pressure.
#include "Vfpgaflow_axi.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

int main() {
    Vfpgaflow_axi top;
    auto tick = [&] {
        top.ap_clk = 0;
        top.eval();
        top.ap_clk = 1;
        top.eval();
    };
    top.ap_rst_n = 0;
    tick();
    top.ap_rst_n = 1;
    const unsigned samples = 300;
    auto ends_batch = [](unsigned sample) { return sample % 7 == 6 || sample == samples - 1; };
    auto beat = [](unsigned i) { return i * 2654435761u; };
    unsigned sent = 0, received = 0, errors = 0, most_under_way = 0;
    bool offered = false, held = false;
    uint32_t held_data = 0;
    for (unsigned cycle = 0; cycle < 100000 && received < 2 * samples; cycle++) {
        offered = offered || std::rand() % 4 != 0;  // a valid beat stays until it is taken
        top.s_axis_tvalid = offered && sent < 3 * samples;
        top.s_axis_tdata = beat(sent);
        top.s_axis_tlast = sent % 3 == 2 && ends_batch(sent / 3);
        // Nothing is taken at first, so that the shell has to hold the network back.
        top.m_axis_tready = cycle > 400 && std::rand() % 3 == 0;
        top.ap_clk = 0;
        top.eval();
        if (held && (!top.m_axis_tvalid || top.m_axis_tdata != held_data))
            errors++;
        held = top.m_axis_tvalid && !top.m_axis_tready;
        held_data = top.m_axis_tdata;
        if (top.m_axis_tvalid && top.m_axis_tready) {
            const unsigned sample = received / 2, second = received % 2;
            const uint32_t sum = beat(3 * sample) + beat(3 * sample + 1) + beat(3 * sample + 2);
            errors += top.m_axis_tdata != sum + second;
            errors += top.m_axis_tlast != (second && ends_batch(sample));
            errors += top.m_axis_tkeep != 15;
            received++;
        }
        if (top.s_axis_tvalid && top.s_axis_tready) {
            sent++;
            offered = false;
        }
        top.ap_clk = 1;
        top.eval();
        if (sent / 3 - received / 2 > most_under_way)
            most_under_way = sent / 3 - received / 2;
    }
    std::printf("%u %u %u %u\n", sent, received, errors, most_under_way);
    return 0;
}
