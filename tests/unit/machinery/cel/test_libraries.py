"""The libraries. Each line is an expression that must be true, or one with its error."""

from __future__ import annotations

import pytest

from steersman.machinery import cel
from steersman.machinery.cel import types as t

ENV = cel.KUBERNETES.with_variables(s=t.STRING, d=t.DYN)


def value(source: str) -> object:
    return cel.compile(source, ENV).evaluate({"s": "h\u00e9llo w\u00f6rld", "d": "dyn"})


@pytest.mark.parametrize(
    "source",
    [
        # size and the tests of strings
        "size('h\u00e9') == 2 && 'h\u00e9'.size() == 2",
        "size(bytes('h\u00e9')) == 3 && size([1, 2]) == 2 && size({'a': 1}) == 1",
        "s.contains('llo') && s.startsWith('h') && s.endsWith('ld') && !s.contains('xyz')",
        "'abc'.matches('^[a-c]+$') && 'xabcx'.matches('abc') && !'a\\n'.matches('^a$') && matches('abc', 'b')",
        # Conversions
        "int('42') == 42 && int(4.9) == 4 && int(-4.9) == -4 && int(3u) == 3",
        "int(timestamp('1970-01-01T00:01:00.5Z')) == 60 && int(duration('1us')) == 1000",
        "uint('7') == 7u && uint(7.9) == 7u && uint(3) == 3u",
        "double('1.5') == 1.5 && double(3) == 3.0 && double('1e3') == 1000.0 && double('-Inf') < 0.0",
        "string(1.0) == '1' && string(1.5) == '1.5' && string(1e21) == '1e+21' && string(0.00001) == '1e-05'",
        "string(100000.0) == '100000' && string(1000000.0) == '1e+06' && string(-0.25) == '-0.25'",
        "string(true) == 'true' && string(5u) == '5' && string(b'ab') == 'ab' && string(-1) == '-1'",
        "string(duration('1h2m3.004s')) == '3723.004s' && string(duration('-1s')) == '-1s'",
        "string(timestamp('2011-08-18T19:03:37.01+01:00')) == '2011-08-18T19:03:37.01+01:00'",
        "string(timestamp('2020-01-01T00:00:00.000Z')) == '2020-01-01T00:00:00Z'",
        "bool('true') && !bool('0') && bytes('a') == b'a' && dyn(1) == 1",
        "string(ip('::1')) == '::1' && string(cidr('10.0.0.1/8')) == '10.0.0.1/8'",
        # Time
        "timestamp('2020-02-29T23:30:00Z').getFullYear() == 2020 && timestamp('2020-02-29T23:30:00Z').getMonth() == 1",
        "timestamp('2020-02-29T23:30:00Z').getDate() == 29 && timestamp('2020-02-29T23:30:00Z').getDayOfMonth() == 28",
        "timestamp('2020-02-29T23:30:00Z').getDayOfYear() == 59 && timestamp('2020-02-29T23:30:00Z').getDayOfWeek() == 6",
        "timestamp('2020-02-29T23:30:15.250Z').getMilliseconds() == 250 && timestamp(15).getSeconds() == 15",
        "timestamp('2020-02-29T23:30:00Z').getHours('+01:00') == 0 && timestamp('2020-02-29T23:30:00Z').getDate('01:00') == 1",
        "timestamp('2020-07-01T12:00:00Z').getHours('America/New_York') == 8",
        "timestamp('2020-07-01T12:00:00Z').getHours('-02:30') == 9 && timestamp('2020-07-01T12:00:00+01:00').getHours() == 11",
        "duration('90m').getHours() == 1 && duration('90m').getMinutes() == 90 && duration('-90m').getHours() == -1",
        "duration('1.5s').getMilliseconds() == 1500 && duration('1.5s').getSeconds() == 1 && duration('0') == duration('0s')",
        "timestamp('2020-01-01T00:00:00Z') + duration('24h') == timestamp('2020-01-02T00:00:00Z')",
        "timestamp('2020-01-02T00:00:00Z') - timestamp('2020-01-01T00:00:00Z') == duration('24h')",
        "duration('1h') + timestamp(0) == timestamp(3600) && timestamp(3600) - duration('1h') == timestamp(0)",
        # Strings
        "s.charAt(1) == '\u00e9' && s.charAt(11) == ''",
        "s.indexOf('l') == 2 && s.indexOf('l', 4) == 9 && s.indexOf('z') == -1 && s.indexOf('', 3) == 3",
        "s.lastIndexOf('l') == 9 && s.lastIndexOf('l', 5) == 3 && s.lastIndexOf('') == 11 && 'aa'.lastIndexOf('aaa') == -1",
        "'TacoCat\u00c9'.lowerAscii() == 'tacocat\u00c9' && 'taco\u00e9'.upperAscii() == 'TACO\u00e9'",
        "' \\t a\\u00a0 '.trim() == 'a'",
        "'a b a'.replace('a', 'x') == 'x b x' && 'a b a'.replace('a', 'x', 1) == 'x b a' && 'ab'.replace('', '-') == '-a-b-'",
        "'a b'.replace('a', 'x', 0) == 'a b'",
        "'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && 'a'.split(',', 0) == []",
        "'abc'.split('') == ['a', 'b', 'c'] && 'abc'.split('', 2) == ['a', 'bc'] && 'a,b'.split(',', -1) == ['a', 'b']",
        "s.substring(6) == 'w\u00f6rld' && s.substring(1, 3) == '\u00e9l' && s.substring(11) == ''",
        "['a', 'b'].join() == 'ab' && ['a', 'b'].join('-') == 'a-b' && [].join('-') == ''",
        "strings.quote('a\\n\"b\\\\') == '\"a\\\\n\\\\\"b\\\\\\\\\"'",
        "'%s|%d|%s'.format(['a', 1, true]) == 'a|1|true' && '%%'.format([]) == '%'",
        "'%.1f'.format([1234.56]) == '1,234.6' && '%f'.format([1.0]) == '1.000000'",
        "'%e'.format([3.14]) == '3.140000\\u202f\u00d7\\u202f10\\u2070\\u2070'",
        "'%x %X %x'.format([255, 255, 'hi']) == 'ff FF 6869' && '%o %b %b'.format([8, 5, true]) == '10 101 1'",
        "'%s'.format([['a', dyn(1)]]) == '[\"a\", 1]' && '%s'.format([{'b': 1, 'a': 2}]) == '{\"a\": 2, \"b\": 1}'",
        "'%s %s %s'.format([1.5, null, duration('1s')]) == '1.5 null 1s'",
        # Lists
        "[1, 2, 2].isSorted() && !['b', 'a'].isSorted() && [].isSorted()",
        "[3, 1, 2].min() == 1 && [3, 1, 2].max() == 3 && ['b', 'a'].max() == 'b'",
        "[1, 2, 3].sum() == 6 && [1.5, 2.5].sum() == 4.0 && [duration('1s'), duration('2s')].sum() == duration('3s')",
        "[1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2 && [1].indexOf(7) == -1",
        "[1, 2, 3, 4].slice(1, 3) == [2, 3] && [[1], [2, 3]].flatten() == [1, 2, 3]",
        "[1, 2, 1, 3].distinct() == [1, 2, 3] && [1, 2].reverse() == [2, 1] && [3, 1, 2].sort() == [1, 2, 3]",
        "['ccc', 'a', 'bb'].sortBy(x, x.size()) == ['a', 'bb', 'ccc'] && lists.range(3) == [0, 1, 2]",
        # Sets
        "sets.contains([1, 2, 3], [2, 2]) && !sets.contains([1], [2]) && sets.contains([1], [])",
        "sets.equivalent([1, 2], [2, 1, 1]) && !sets.equivalent([1], [1, 2])",
        "sets.intersects([1, 2], [2, 3]) && !sets.intersects([1], [2])",
        # Regular expressions
        "'abc 123'.find('[0-9]+') == '123' && 'abc'.find('[0-9]+') == ''",
        "'1 22 333'.findAll('[0-9]+') == ['1', '22', '333'] && '1 22 333'.findAll('[0-9]+', 2) == ['1', '22']",
        "'1 2'.findAll('[0-9]', -1).size() == 2 && '1 2'.findAll('[0-9]', 0) == []",
        # URLs
        "url('https://user@example.com:80/a%20b?x=1&x=2&y=').getScheme() == 'https'",
        "url('https://example.com:80/a').getHost() == 'example.com:80' && url('https://example.com:80/a').getPort() == '80'",
        "url('https://[::1]:80/').getHost() == '[::1]:80' && url('https://[::1]:80/').getHostname() == '::1'",
        "url('https://example.com/a b/').getEscapedPath() == '/a%20b/' && url('/path').getEscapedPath() == '/path'",
        "url('https://e.com/?x=1&x=2&y=').getQuery() == {'x': ['1', '2'], 'y': ['']}",
        "isURL('https://e.com') && isURL('/a') && !isURL('a') && !isURL('') && !isURL('../a') && !isURL(':foo')",
        "!isURL('https://a:port/') && !isURL('https://e.com/%zz') && url('/a') == url('/a') && url('/a') != url('/b')",
        # Addresses
        "isIP('127.0.0.1') && isIP('::1') && !isIP('1.2.3') && !isIP('01.2.3.4') && !isIP('::ffff:1.2.3.4')",
        "!isIP('fe80::1%eth0')",
        "ip('127.0.0.1').family() == 4 && ip('::1').family() == 6",
        "ip('0.0.0.0').isUnspecified() && ip('127.0.0.1').isLoopback() && ip('169.254.1.1').isLinkLocalUnicast()",
        "ip('224.0.0.1').isLinkLocalMulticast() && ip('ff02::1').isLinkLocalMulticast() && ip('8.8.8.8').isGlobalUnicast()",
        "ip('10.0.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast() && !ip('224.0.1.1').isGlobalUnicast()",
        "ip.isCanonical('::1') && !ip.isCanonical('0:0:0:0:0:0:0:1') && ip('::1') == ip('0::1')",
        "isCIDR('10.0.0.0/8') && isCIDR('10.0.0.1/8') && isCIDR('::/0') && !isCIDR('10.0.0.0') && !isCIDR('10.0.0.0/33')",
        "!isCIDR('10.0.0.0/08') && !isCIDR('::ffff:1.2.3.4/100')",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.0'))",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && !cidr('10.0.0.0/16').containsCIDR(cidr('10.0.0.0/8'))",
        "cidr('10.1.2.3/8').ip() == ip('10.1.2.3') && cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')",
        "cidr('10.1.2.3/8').prefixLength() == 8 && !cidr('10.0.0.0/8').containsIP('::1')",
        # Quantities
        "isQuantity('1.5Gi') && !isQuantity('1.5Gx') && quantity('1000m') == quantity('1')",
        "quantity('1Ki').compareTo(quantity('1024')) == 0 && quantity('2').isGreaterThan(quantity('1'))",
        "quantity('1').isLessThan(quantity('1.1')) && sign(quantity('-1')) == -1 && sign(quantity('0')) == 0",
        "quantity('50k').isInteger() && !quantity('50m').isInteger() && quantity('50k').asInteger() == 50000",
        "quantity('1.5').asApproximateFloat() == 1.5",
        "quantity('1').add(quantity('2')) == quantity('3') && quantity('5').sub(2) == quantity('3')",
        "quantity('1').add(1) == quantity('2')",
        # Versions
        "isSemver('1.2.3') && isSemver('1.2.3-a.1+b') && !isSemver('1.2') && !isSemver('v1.2.3') && !isSemver('01.2.3')",
        "isSemver('v1.2', true) && semver('v01', true) == semver('1.0.0') && !isSemver('1.2-a', true)",
        "semver('1.2.3').major() == 1 && semver('1.2.3').minor() == 2 && semver('1.2.3').patch() == 3",
        "semver('1.2.3').isGreaterThan(semver('1.2.3-rc.1')) && semver('1.0.0-a.9').isLessThan(semver('1.0.0-a.10'))",
        "semver('1.0.0-1').compareTo(semver('1.0.0-a')) == -1 && semver('1.0.0+a') == semver('1.0.0+b')",
        # Formats
        "!format.dns1123Label().validate('my-name').hasValue() && format.dns1123Label().validate('My').hasValue()",
        "format.named('uuid').hasValue() && !format.named('nothing').hasValue()",
        "format.uuid().validate('x').value() == ['does not match the UUID format']",
        "!format.uuid().validate('123e4567-e89b-12d3-a456-426614174000').hasValue()",
        "format.byte().validate('!').value() == ['invalid base64'] && !format.byte().validate('aGk=').hasValue()",
        "format.date().validate('2020-13-01').value() == ['invalid date'] && !format.date().validate('2020-01-01').hasValue()",
        "format.datetime().validate('x').value() == ['invalid datetime']",
        "!format.dns1123LabelPrefix().validate('a-').hasValue() && !format.uri().validate('http://a').hasValue()",
        "!format.labelValue().validate('').hasValue() && !format.qualifiedName().validate('a.b/c').hasValue()",
        # On dyn the overload is found when it runs
        "d + 'x' == 'dynx' && dyn([1]) + [2] == [1, 2] && dyn(1) + 2 == 3 && d.size() == 3",
    ],
)
def test_it_is_true(source: str) -> None:
    assert value(source) is True


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("int(d)", "type conversion error from 'string' to 'int'"),
        ("int(9.3e18)", "integer overflow"),
        ("uint(-1 * size(d))", "unsigned integer overflow"),
        ("uint(d)", "type conversion error from 'string' to 'uint'"),
        ("double(d)", "type conversion error from 'string' to 'double'"),
        ("bool(d)", "type conversion error from 'string' to 'bool'"),
        ("duration(d)", "type conversion error from 'string' to 'google.protobuf.Duration'"),
        ("timestamp(d)", "type conversion error from 'string' to 'google.protobuf.Timestamp'"),
        (r"string(b'\xff') + s", "invalid UTF-8 in bytes, cannot convert to string"),
        ("timestamp(0).getHours('Nowhere/Land')", "unknown time zone Nowhere/Land"),
        ("s.charAt(12)", "index out of range: 12"),
        ("s.substring(12)", "index out of range: 12"),
        ("s.substring(3, 2)", "invalid substring range. start: 3, end: 2"),
        ("s.indexOf('a', 12)", "index out of range: 12"),
        ("[].min() + 1", "min called on empty list"),
        ("[1].slice(0, 2)", "cannot slice(0, 2), list is length 1"),
        ("[1].slice(-1, 1)", "cannot slice(-1, 1), negative indexes not supported"),
        ("[1, 2].slice(2, 1)", "cannot slice(2, 1), start index must be less than or equal to end index"),
        ("[dyn([1])].flatten(-1)", "level must be non-negative"),
        ("s.find(d + '(')", "Illegal regex: error parsing regexp: missing closing ): `dyn(`"),
        ("url('a b')", 'URL parse error during conversion from string: parse "a b": invalid URI for request'),
        (
            "ip('1.2.3')",
            'IP Address "1.2.3" parse error during conversion from string: ParseAddr("1.2.3"): unable to parse IP',
        ),
        ("ip('::ffff:1.2.3.4')", 'IPv4-mapped IPv6 address "::ffff:1.2.3.4" is not allowed'),
        ("ip('fe80::1%eth0')", 'IP address "fe80::1%eth0" with zone value is not allowed'),
        ("cidr('10.0.0.0/8').containsIP('x')", "no such overload"),
        (
            "quantity('x')",
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ("quantity('50m').asInteger()", "cannot convert value to integer"),
        ("semver('1.2')", "No Major.Minor.Patch elements found"),
        ("semver('a.2.3')", 'Invalid character(s) found in major number "a"'),
        ("semver('01.2.3')", 'Major number must not contain leading zeroes "01"'),
        ("semver('1-a', true)", "short version cannot contain PreRelease/Build meta data"),
        ("'%d'.format([d])", "decimal clause can only be used on integers, was given string"),
    ],
)
def test_it_is_an_error(source: str, error: str) -> None:
    with pytest.raises((cel.CelRuntimeError, cel.InstantiationError)) as caught:
        value(source)
    assert str(caught.value) == error


@pytest.mark.parametrize("source", ["lists.range(2000000000).size() > 0", "s.replace('', big).size() > 0"])
def test_what_would_fill_the_memory_is_stopped(source: str) -> None:
    env = ENV.with_variables(big=t.STRING)
    with pytest.raises(cel.CostLimitExceeded):
        cel.compile(source, env).evaluate({"s": "a" * 100_000, "big": "b" * 100_000})
