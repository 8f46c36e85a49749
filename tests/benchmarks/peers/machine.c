/* Triad bandwidth and random byte reads: machine THREADS LENGTH READS TABLE ... */
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static double triad(long length) {
    double *a = malloc(length * 8), *b = malloc(length * 8), *c = malloc(length * 8), best = 1e9;
#pragma omp parallel for
    for (long i = 0; i < length; i++) a[i] = 0, b[i] = (double)i, c[i] = 2;
    for (int turn = 0; turn < 5; turn++) {
        double began = omp_get_wtime();
#pragma omp parallel for
        for (long i = 0; i < length; i++) a[i] = b[i] + 3.0 * c[i];
        double took = omp_get_wtime() - began;
        if (took < best) best = took;
    }
    volatile double sink = a[length / 2];
    (void)sink;
    free(a), free(b), free(c);
    return 3.0 * 8 * (double)length / best;
}

static double reads(long table, long count) {
    uint8_t *bytes = malloc(table);
    uint32_t *index = malloc(count * 4), word = 1;
    double best = 1e9;
    long total = 0;
    for (long i = 0; i < table; i++) bytes[i] = i & 1;
    for (long i = 0; i < count; i++) {
        word = word * 1664525u + 1013904223u;
        index[i] = (uint32_t)(((uint64_t)word * (uint64_t)table) >> 32);
    }
    for (int turn = 0; turn < 3; turn++) {
        double began = omp_get_wtime();
#pragma omp parallel for reduction(+ : total)
        for (long i = 0; i < count; i++) total += bytes[index[i]];
        double took = omp_get_wtime() - began;
        if (took < best) best = took;
    }
    volatile long sink = total;
    (void)sink;
    free(bytes), free(index);
    return (double)count / best;
}

int main(int argc, char **argv) {
    omp_set_num_threads(atoi(argv[1]));
    printf("{\"triad\": %.4g, \"reads\": {", triad(atol(argv[2])));
    for (int k = 4; k < argc; k++)
        printf("%s\"%s\": %.4g", k > 4 ? ", " : "", argv[k], reads(atol(argv[k]), atol(argv[3])));
    printf("}}\n");
}
