#ifndef NNET_MATMUL_H_
#define NNET_MATMUL_H_

#include "ap_fixed.h"
#include "ap_int.h"
#include "hls_stream.h"
#include "nnet_common.h"
#include "nnet_types.h"

// Products of two matrices of data, (rows, inner) by (inner, columns), for each index of the batch axes before them.

namespace nnet {

struct matmul_config {
    static const long long n_batch = 1;
    static const long long n_rows = 1;
    static const long long n_inner = 1;
    static const long long n_columns = 1;
    static const long long reuse_factor = 1;
    typedef float accum_t; // holds every sum
};

template <class left_T, class right_T, class res_T, typename CONFIG_T>
void matmul(left_T left[CONFIG_T::n_batch * CONFIG_T::n_rows * CONFIG_T::n_inner],
            right_T right[CONFIG_T::n_batch * CONFIG_T::n_inner * CONFIG_T::n_columns],
            res_T res[CONFIG_T::n_batch * CONFIG_T::n_rows * CONFIG_T::n_columns]) {
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor

Rows:
    for (unsigned i = 0; i < CONFIG_T::n_batch * CONFIG_T::n_rows; i++) {
        #pragma HLS UNROLL
        const unsigned batch = i / CONFIG_T::n_rows;
    Columns:
        for (unsigned j = 0; j < CONFIG_T::n_columns; j++) {
            #pragma HLS UNROLL
            typename CONFIG_T::accum_t sum = 0;
        Terms:
            for (unsigned k = 0; k < CONFIG_T::n_inner; k++) {
                #pragma HLS UNROLL
                sum += left[i * CONFIG_T::n_inner + k] *
                       right[(batch * CONFIG_T::n_inner + k) * CONFIG_T::n_columns + j];
            }
            res[i * CONFIG_T::n_columns + j] = sum;
        }
    }
}

// The whole right matrix is kept; then each beat of the left one is a row, and gives a row.
template <class left_T, class right_T, class res_T, typename CONFIG_T>
void matmul(hls::stream<left_T> &left, hls::stream<right_T> &right, hls::stream<res_T> &res) {
    static_assert(left_T::size == CONFIG_T::n_inner && right_T::size == CONFIG_T::n_columns, "a beat is a row");

    typename right_T::value_type kept[CONFIG_T::n_inner][CONFIG_T::n_columns];
    #pragma HLS ARRAY_PARTITION variable=kept complete dim=0

Batch:
    for (unsigned batch = 0; batch < CONFIG_T::n_batch; batch++) {
    Keep:
        for (unsigned k = 0; k < CONFIG_T::n_inner; k++) {
            #pragma HLS PIPELINE II=1
            const right_T in_data = right.read();
            for (unsigned j = 0; j < CONFIG_T::n_columns; j++) {
                #pragma HLS UNROLL
                kept[k][j] = in_data[j];
            }
        }
    Rows:
        for (unsigned i = 0; i < CONFIG_T::n_rows; i++) {
            #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
            const left_T in_data = left.read();
            res_T out_data;
            PRAGMA_DATA_PACK(out_data)

        Columns:
            for (unsigned j = 0; j < CONFIG_T::n_columns; j++) {
                #pragma HLS UNROLL
                typename CONFIG_T::accum_t sum = 0;
            Terms:
                for (unsigned k = 0; k < CONFIG_T::n_inner; k++) {
                    #pragma HLS UNROLL
                    sum += in_data[k] * kept[k][j];
                }
                out_data[j] = sum;
            }
            res.write(out_data);
        }
    }
}

} // namespace nnet

#endif
