/* Feeds raw little-endian uint32 words from standard input to a TestU01 battery.
   usage: driver small|crush|big name [reversed] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <testu01/bbattery.h>
#include <testu01/swrite.h>
#include <testu01/unif01.h>

static unsigned int buffer[1 << 16];
static size_t held = 0, taken = 0;
static unsigned long long total = 0;
static int reversed = 0;

static unsigned int flip(unsigned int x)
{
    x = ((x >> 1) & 0x55555555u) | ((x & 0x55555555u) << 1);
    x = ((x >> 2) & 0x33333333u) | ((x & 0x33333333u) << 2);
    x = ((x >> 4) & 0x0f0f0f0fu) | ((x & 0x0f0f0f0fu) << 4);
    return __builtin_bswap32(x);
}

static unsigned int next(void)
{
    if (taken == held) {
        held = fread(buffer, sizeof *buffer, 1 << 16, stdin);
        taken = 0;
        if (held == 0) {
            fprintf(stderr, "the stream ended after %llu words\n", total);
            exit(3);
        }
    }
    total++;
    return reversed ? flip(buffer[taken++]) : buffer[taken++];
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    reversed = argc > 3;
    unif01_Gen *gen = unif01_CreateExternGenBits(argv[2], next);
    swrite_Basic = FALSE;
    if (strcmp(argv[1], "small") == 0)
        bbattery_SmallCrush(gen);
    else if (strcmp(argv[1], "crush") == 0)
        bbattery_Crush(gen);
    else
        bbattery_BigCrush(gen);
    for (int i = 0; i < bbattery_NTests; i++)
        printf("PVALUE\t%s\t%.17g\n", bbattery_TestNames[i], bbattery_pVal[i]);
    printf("WORDS\t%llu\n", total);
    unif01_DeleteExternGenBits(gen);
    return 0;
}
