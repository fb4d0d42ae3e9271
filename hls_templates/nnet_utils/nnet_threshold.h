#ifndef NNET_THRESHOLD_H_
#define NNET_THRESHOLD_H_

#include "ap_fixed.h"
#include "ap_int.h"
#include "hls_stream.h"
#include "nnet_common.h"
#include "nnet_types.h"

// A quantiser of any scale: the output's integer is offset + step * (number of thresholds that the input reaches).
// The elements of a beat are done in reuse_factor steps, so that so many of them share one set of comparators.

namespace nnet {

struct threshold_config {
    static const long long n_in = 10;
    static const long long n_levels = 1;
    static const long long n_channels = 1; // rows of the threshold table; 1 where all channels share them
    static const long long n_inner = 1;    // consecutive elements of one channel
    static const long long offset = 0;
    static const long long step = 1;
    static const long long reuse_factor = 1;
    static const bool search = false; // compare with one threshold after the other, in halves, instead of with all
    typedef float threshold_t;
    typedef float sign_t;
};

template <typename CONFIG_T, unsigned ELEMENTS> struct threshold_folding {
    static const unsigned reuse = CONFIG_T::reuse_factor < ELEMENTS ? CONFIG_T::reuse_factor : ELEMENTS;
    static const unsigned lanes = DIV_ROUNDUP(ELEMENTS, reuse);
    // All thresholds of all lanes are one word of a memory, a word for each step.
    static const unsigned word = (CONFIG_T::n_channels < lanes ? CONFIG_T::n_channels : lanes) * CONFIG_T::n_levels;
};

// The thresholds that x reaches, by halves: `ceillog2` steps.
template <class data_T, typename CONFIG_T>
unsigned thresholds_searched(data_T x, unsigned channel, typename CONFIG_T::threshold_t thresholds[]) {
    #pragma HLS INLINE

    static const unsigned bits = ceillog2(CONFIG_T::n_levels + 1);
    unsigned count = 0;
Search:
    for (unsigned i = 0; i < bits; i++) {
        #pragma HLS UNROLL
        const unsigned half = 1u << (bits - 1 - i);
        const unsigned level = count + half - 1;
        if (level < CONFIG_T::n_levels && x >= thresholds[channel * CONFIG_T::n_levels + level]) {
            count += half;
        }
    }
    return count;
}

// The same, by a comparator for each threshold.
template <class data_T, typename CONFIG_T>
unsigned thresholds_compared(data_T x, unsigned channel, typename CONFIG_T::threshold_t thresholds[]) {
    #pragma HLS INLINE

    typedef ap_uint<ceillog2(CONFIG_T::n_levels + 1)> count_t;
    count_t reached[CONFIG_T::n_levels];
    #pragma HLS ARRAY_PARTITION variable=reached complete
Compare:
    for (unsigned level = 0; level < CONFIG_T::n_levels; level++) {
        #pragma HLS UNROLL
        reached[level] = x >= thresholds[channel * CONFIG_T::n_levels + level];
    }
    Op_add<count_t> add;
    return reduce<count_t, CONFIG_T::n_levels, Op_add<count_t>>(reached, add).to_uint();
}

template <class data_T, class res_T, typename CONFIG_T>
res_T threshold_element(data_T x, unsigned element, typename CONFIG_T::threshold_t thresholds[],
                        typename CONFIG_T::sign_t signs[]) {
    #pragma HLS INLINE

    typedef ap_fixed<data_T::width + 1, data_T::iwidth + 1> signed_t; // holds -x
    const unsigned channel = element / CONFIG_T::n_inner % CONFIG_T::n_channels;
    signed_t turned = x;
    if (signs[channel] != 0) {
        turned = -x;
    }
    const unsigned count = CONFIG_T::search ? thresholds_searched<signed_t, CONFIG_T>(turned, channel, thresholds)
                                            : thresholds_compared<signed_t, CONFIG_T>(turned, channel, thresholds);

    const ap_int<res_T::width + 1> level = CONFIG_T::offset + CONFIG_T::step * (long long)count;
    res_T result = 0;
    result(res_T::width - 1, 0) = level(res_T::width - 1, 0); // the integer, whatever the binary point
    return result;
}

template <class data_T, class res_T, typename CONFIG_T>
void threshold(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in],
               typename CONFIG_T::threshold_t thresholds[CONFIG_T::n_channels * CONFIG_T::n_levels],
               typename CONFIG_T::sign_t signs[CONFIG_T::n_channels]) {
    typedef threshold_folding<CONFIG_T, CONFIG_T::n_in> folding;
    #pragma HLS ARRAY_RESHAPE variable=thresholds cyclic factor=folding::word
    #pragma HLS ARRAY_PARTITION variable=signs complete

Steps:
    for (unsigned step = 0; step < folding::reuse; step++) {
        #pragma HLS PIPELINE II=1
    Lanes:
        for (unsigned lane = 0; lane < folding::lanes; lane++) {
            #pragma HLS UNROLL
            const unsigned i = step * folding::lanes + lane;
            if (i < CONFIG_T::n_in) {
                res[i] = threshold_element<data_T, res_T, CONFIG_T>(data[i], i, thresholds, signs);
            }
        }
    }
}

// A flattened input arrives in shorter beats than the output leaves in: hls4ml flattens streams without repacking them.
template <class data_T, class res_T, typename CONFIG_T>
void threshold(hls::stream<data_T> &data, hls::stream<res_T> &res,
               typename CONFIG_T::threshold_t thresholds[CONFIG_T::n_channels * CONFIG_T::n_levels],
               typename CONFIG_T::sign_t signs[CONFIG_T::n_channels]) {
    static_assert(res_T::size % data_T::size == 0, "an output beat holds whole input beats");
    typedef threshold_folding<CONFIG_T, data_T::size> folding;
    #pragma HLS ARRAY_RESHAPE variable=thresholds cyclic factor=folding::word
    #pragma HLS ARRAY_PARTITION variable=signs complete

    data_T in_data;
    res_T out_data;
    PRAGMA_DATA_PACK(out_data)

Beats:
    for (unsigned beat = 0; beat < CONFIG_T::n_in / data_T::size; beat++) {
    Steps:
        for (unsigned step = 0; step < folding::reuse; step++) {
            #pragma HLS PIPELINE II=1
            if (step == 0) {
                in_data = data.read();
            }
        Lanes:
            for (unsigned lane = 0; lane < folding::lanes; lane++) {
                #pragma HLS UNROLL
                const unsigned j = step * folding::lanes + lane;
                if (j < data_T::size) {
                    const unsigned element = beat * data_T::size + j;
                    out_data[element % res_T::size] =
                        threshold_element<typename data_T::value_type, typename res_T::value_type, CONFIG_T>(
                            in_data[j], element, thresholds, signs);
                }
            }
            if (step == folding::reuse - 1 && (beat + 1) * data_T::size % res_T::size == 0) {
                res.write(out_data);
            }
        }
    }
}

} // namespace nnet

#endif
