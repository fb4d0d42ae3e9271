#ifndef NNET_INDEX_MAP_H_
#define NNET_INDEX_MAP_H_

#include "ap_fixed.h"
#include "ap_int.h"
#include "hls_stream.h"
#include "nnet_common.h"
#include "nnet_types.h"

// Elements moved, repeated, left out, or surrounded by a constant: result i is lane l of input beat b, where
// (b, l) = outer[i / n_inner] + inner[i % n_inner], or the constant where b is negative.

namespace nnet {

struct index_map_config {
    static const long long value = 0; // the constant, as the bits of an input element
    static const long long in_size = 1;
    static const long long in_beats = 1;
    static const long long out_size = 1;
    static const long long out_beats = 1;
    static const long long n_outer = 1;
    static const long long n_inner = 1;
    static const long long depth = 1; // how many input beats are kept, a power of two
    static const long long banks = 1; // memories that they lie in: several where an output beat is of several
    static const long long steps = 1; // until all input beats are read, and all output beats written
    typedef float outer_t;
    typedef float inner_t;
    typedef float arrivals_t;
};

template <class data_T, typename CONFIG_T> data_T index_map_constant() {
    #pragma HLS INLINE
    const ap_int<data_T::width + 1> bits = CONFIG_T::value;
    data_T result = 0;
    result(data_T::width - 1, 0) = bits(data_T::width - 1, 0);
    return result;
}

// In io_parallel a tensor is one beat.
template <class data_T, class res_T, typename CONFIG_T>
void index_map(data_T data[CONFIG_T::in_size], res_T res[CONFIG_T::out_size],
               typename CONFIG_T::outer_t outer[CONFIG_T::n_outer * 2],
               typename CONFIG_T::inner_t inner[CONFIG_T::n_inner * 2],
               typename CONFIG_T::arrivals_t arrivals[CONFIG_T::out_beats + 1]) {
    #pragma HLS PIPELINE II=1
    #pragma HLS ARRAY_PARTITION variable=outer complete
    #pragma HLS ARRAY_PARTITION variable=inner complete

Elements:
    for (unsigned i = 0; i < CONFIG_T::out_size; i++) {
        #pragma HLS UNROLL
        const unsigned o = i / CONFIG_T::n_inner * 2, n = i % CONFIG_T::n_inner * 2;
        const int beat = outer[o].to_int() + inner[n].to_int();
        const int lane = outer[o + 1].to_int() + inner[n + 1].to_int();
        if (beat < 0) {
            res[i] = index_map_constant<data_T, CONFIG_T>();
        } else {
            res[i] = data[lane];
        }
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void index_map(hls::stream<data_T> &data, hls::stream<res_T> &res,
               typename CONFIG_T::outer_t outer[CONFIG_T::n_outer * 2],
               typename CONFIG_T::inner_t inner[CONFIG_T::n_inner * 2],
               typename CONFIG_T::arrivals_t arrivals[CONFIG_T::out_beats + 1]) {
    static_assert(data_T::size == CONFIG_T::in_size && res_T::size == CONFIG_T::out_size, "beats as its tables say");
    static_assert((CONFIG_T::depth & (CONFIG_T::depth - 1)) == 0, "the depth is a power of two");
    #pragma HLS ARRAY_PARTITION variable=inner complete

    typename data_T::value_type kept[CONFIG_T::depth][data_T::size];
    #pragma HLS ARRAY_PARTITION variable=kept cyclic factor=CONFIG_T::banks dim=1
    #pragma HLS ARRAY_PARTITION variable=kept complete dim=2

    unsigned arrived = 0;
    unsigned written = 0;
Steps:
    for (unsigned step = 0; step < CONFIG_T::steps; step++) {
        #pragma HLS PIPELINE II=1
        const unsigned needed = arrivals[written].to_int(); // the last entry: all of them
        if (arrived < needed) {
            const data_T in_data = data.read();
        Keep:
            for (unsigned j = 0; j < data_T::size; j++) {
                #pragma HLS UNROLL
                kept[arrived & (CONFIG_T::depth - 1)][j] = in_data[j];
            }
            arrived++;
        }
        if (arrived >= needed && written < CONFIG_T::out_beats) {
            res_T out_data;
            PRAGMA_DATA_PACK(out_data)
        Lanes:
            for (unsigned j = 0; j < res_T::size; j++) {
                #pragma HLS UNROLL
                const unsigned i = written * res_T::size + j;
                const unsigned o = i / CONFIG_T::n_inner * 2, n = i % CONFIG_T::n_inner * 2;
                const int beat = outer[o].to_int() + inner[n].to_int();
                const int lane = outer[o + 1].to_int() + inner[n + 1].to_int();
                if (beat < 0) {
                    out_data[j] = index_map_constant<typename data_T::value_type, CONFIG_T>();
                } else {
                    out_data[j] = kept[beat & (CONFIG_T::depth - 1)][lane];
                }
            }
            res.write(out_data);
            written++;
        }
    }
}

// The same for what would need many registers: element by element, through a memory. Here the beats of the tables are
// elements, while data and res have beats of any size.
template <class data_T, class res_T, typename CONFIG_T>
void index_map_serial(hls::stream<data_T> &data, hls::stream<res_T> &res,
                      typename CONFIG_T::outer_t outer[CONFIG_T::n_outer * 2],
                      typename CONFIG_T::inner_t inner[CONFIG_T::n_inner * 2],
                      typename CONFIG_T::arrivals_t arrivals[CONFIG_T::out_beats + 1]) {
    static_assert(CONFIG_T::in_size == 1 && res_T::size == CONFIG_T::out_size, "beats as its tables say");
    static_assert((CONFIG_T::depth & (CONFIG_T::depth - 1)) == 0, "the depth is a power of two");
    #pragma HLS ARRAY_PARTITION variable=inner complete

    typename data_T::value_type kept[CONFIG_T::depth];
    data_T in_data;
    res_T out_data;
    PRAGMA_DATA_PACK(out_data)

    unsigned arrived = 0;
    unsigned in_lane = 0;
    unsigned written = 0; // whole beats
    unsigned out_lane = 0;
Steps:
    for (unsigned step = 0; step < CONFIG_T::steps; step++) {
        #pragma HLS PIPELINE II=1
        const unsigned needed = arrivals[written].to_int();
        if (arrived < needed) {
            if (in_lane == 0) {
                in_data = data.read();
            }
            kept[arrived & (CONFIG_T::depth - 1)] = in_data[in_lane];
            arrived++;
            in_lane = in_lane + 1 == data_T::size ? 0 : in_lane + 1;
        }
        if (arrived >= needed && written < CONFIG_T::out_beats) {
            const unsigned i = written * res_T::size + out_lane;
            const int element = outer[i / CONFIG_T::n_inner * 2].to_int() + inner[i % CONFIG_T::n_inner * 2].to_int();
            if (element < 0) {
                out_data[out_lane] = index_map_constant<typename data_T::value_type, CONFIG_T>();
            } else {
                out_data[out_lane] = kept[element & (CONFIG_T::depth - 1)];
            }
            if (out_lane + 1 == res_T::size) {
                res.write(out_data);
                out_lane = 0;
                written++;
            } else {
                out_lane++;
            }
        }
    }
}

} // namespace nnet

#endif
